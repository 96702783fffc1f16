import Bytes

/// Whether a client's bytes may enter the log as they came.
///
/// Members of different releases read entries with different decoders, which agree on messages as an encoder writes them: each
/// field known, in ascending order, and once unless it is repeated. On a field given twice they need not agree (one replaces an
/// embedded message, another merges), so such bytes are decoded and encoded anew before they are proposed.
public enum CanonicalForm {
    /// The requests that are proposed in their clients' own bytes.
    public enum Message: Sendable {
        case put
        case deleteRange
        case txn
    }

    /// Walks the message without an allocation; false for malformed bytes too.
    public static func holds(_ bytes: UnsafeRawBufferPointer, as message: Message) -> Bool {
        let shape: Shape =
            switch message {
            case .put: .put
            case .deleteRange: .deleteRange
            case .txn: .txn
            }
        do throws(DecodeError) { return try follows(bytes, shape, depth: 0) } catch { return false }
    }

    private static func follows(_ bytes: UnsafeRawBufferPointer, _ shape: Shape, depth: Int) throws(DecodeError) -> Bool {
        // Two levels for each transaction around it, and an operation with what it asks for in the innermost.
        if depth > 2 * largestTransactionDepth + 2 { return false }
        var reader = ByteReader(bytes)
        var lastField = 0
        var members = 0
        while let tag = try reader.nextTag() {
            guard let rule = shape.rule(for: tag.field) else { return false }
            guard tag.field > lastField || (tag.field == lastField && rule.isRepeated) else { return false }
            lastField = tag.field
            if rule.isMemberOfOneof {
                members += 1
                if members > 1 { return false }
            }
            switch rule.content {
            case .integer: _ = try reader.uint64(tag)
            case .bytes: _ = try reader.borrowedBytes(tag)
            case .message(let inner):
                if try !follows(try reader.borrowedBytes(tag), inner, depth: depth + 1) { return false }
            }
        }
        return true
    }
}

/// What fields a message has.
private enum Shape {
    case put
    case deleteRange
    case range
    case compare
    case operation
    case txn

    struct Rule {
        enum Content {
            case integer
            case bytes
            case message(Shape)
        }
        let content: Content
        var isRepeated = false
        var isMemberOfOneof = false
    }

    func rule(for field: Int) -> Rule? {
        switch (self, field) {
        case (.put, 1...2), (.deleteRange, 1...2), (.range, 1...2), (.compare, 3), (.compare, 64): Rule(content: .bytes)
        case (.put, 3...6), (.deleteRange, 3), (.range, 3...13), (.compare, 1...2): Rule(content: .integer)
        case (.compare, 7): Rule(content: .bytes, isMemberOfOneof: true)
        case (.compare, 4...8): Rule(content: .integer, isMemberOfOneof: true)
        case (.operation, 1): Rule(content: .message(.range), isMemberOfOneof: true)
        case (.operation, 2): Rule(content: .message(.put), isMemberOfOneof: true)
        case (.operation, 3): Rule(content: .message(.deleteRange), isMemberOfOneof: true)
        case (.operation, 4): Rule(content: .message(.txn), isMemberOfOneof: true)
        case (.txn, 1): Rule(content: .message(.compare), isRepeated: true)
        case (.txn, 2...3): Rule(content: .message(.operation), isRepeated: true)
        default: nil
        }
    }
}
