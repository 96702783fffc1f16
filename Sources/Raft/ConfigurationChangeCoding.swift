/// An entry that claims to be a change of membership and is none.
public struct ConfigurationChangeDecodingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// In bytes from the start of the entry's data.
    public let offset: Int
    public let reason: String

    public var description: String { "membership change entry, offset \(offset): \(reason)" }
}

/// Changes as raftpb.ConfChange (entry kind 1: one step, the form etcd's server proposes) and raftpb.ConfChangeV2 (kind 2).
///
/// ConfChange: 1 id, 2 type, 3 node id, 4 context. ConfChangeV2: 1 transition, 2 steps {1 type, 2 node id}, 3 context. Numbers
/// are varints and written even when zero, as Go's generated code does.
extension ConfigurationChange {
    /// The entry kind and data of this change: the first version where it can say it.
    public func encoded() -> (kind: EntryKind, data: [UInt8]) {
        var data: [UInt8] = []
        if transition == .auto, let step = steps.first, steps.count == 1 {
            data.appendField(1, id)
            data.appendField(2, UInt64(step.kind.rawValue))
            data.appendField(3, step.member)
            if !context.isEmpty { data.appendField(4, context) }
            return (.configurationChange, data)
        }
        data.appendField(1, UInt64(transition.rawValue))
        for step in steps {
            var nested: [UInt8] = []
            nested.appendField(1, UInt64(step.kind.rawValue))
            nested.appendField(2, step.member)
            data.appendField(2, nested)
        }
        if !context.isEmpty { data.appendField(3, context) }
        return (.configurationChangeV2, data)
    }

    /// Reads the change in an entry. An entry of the second version without data is the empty change, as leaders write it to
    /// leave a joint configuration.
    public init(decoding kind: EntryKind, _ data: [UInt8]) throws(ConfigurationChangeDecodingError) {
        switch kind {
        case .normal: throw ConfigurationChangeDecodingError(offset: 0, reason: "an entry of kind normal")
        case .configurationChange: try self.init(firstVersion: data)
        case .configurationChangeV2: try self.init(secondVersion: data)
        }
    }

    private init(firstVersion data: [UInt8]) throws(ConfigurationChangeDecodingError) {
        self.init()
        var step = Step(kind: .addVoter, member: 0)
        var fields = FieldReader(data[...])
        while let field = try fields.next() {
            switch (field.number, field.value) {
            case (1, .number(let value)): id = value
            case (2, .number(let value)): step.kind = try fields.enumeration(value)
            case (3, .number(let value)): step.member = value
            case (4, .bytes(let value)): context = Array(value)
            default: break
            }
        }
        steps = [step]
    }

    private init(secondVersion data: [UInt8]) throws(ConfigurationChangeDecodingError) {
        self.init()
        var fields = FieldReader(data[...])
        while let field = try fields.next() {
            switch (field.number, field.value) {
            case (1, .number(let value)): transition = try fields.enumeration(value)
            case (2, .bytes(let value)): steps.append(try Step(nested: value))
            case (3, .bytes(let value)): context = Array(value)
            default: break
            }
        }
    }
}

extension ConfigurationChange.Step {
    fileprivate init(nested data: ArraySlice<UInt8>) throws(ConfigurationChangeDecodingError) {
        self.init(kind: .addVoter, member: 0)
        var fields = FieldReader(data)
        while let field = try fields.next() {
            switch (field.number, field.value) {
            case (1, .number(let value)): kind = try fields.enumeration(value)
            case (2, .number(let value)): member = value
            default: break
            }
        }
    }
}

extension [UInt8] {
    fileprivate mutating func appendVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }

    fileprivate mutating func appendField(_ number: UInt64, _ value: UInt64) {
        appendVarint(number << 3)
        appendVarint(value)
    }

    fileprivate mutating func appendField(_ number: UInt64, _ value: [UInt8]) {
        appendVarint(number << 3 | 2)
        appendVarint(UInt64(value.count))
        append(contentsOf: value)
    }
}

/// Walks the fields of one protobuf message. Unknown fields are the caller's to skip.
private struct FieldReader {
    enum Value {
        case number(UInt64)
        case bytes(ArraySlice<UInt8>)
    }

    private var rest: ArraySlice<UInt8>

    init(_ data: ArraySlice<UInt8>) { rest = data }

    private func failure(_ reason: String) -> ConfigurationChangeDecodingError {
        ConfigurationChangeDecodingError(offset: rest.startIndex, reason: reason)
    }

    /// Nil at the end.
    mutating func next() throws(ConfigurationChangeDecodingError) -> (number: UInt64, value: Value)? {
        if rest.isEmpty { return nil }
        let tag = try varint()
        switch tag & 7 {
        case 0: return (tag >> 3, .number(try varint()))
        case 1: return (tag >> 3, .bytes(try take(8)))
        case 2: return (tag >> 3, .bytes(try take(try varint())))
        case 5: return (tag >> 3, .bytes(try take(4)))
        default: throw failure("wire type \(tag & 7)")
        }
    }

    func enumeration<E: RawRepresentable<Int32>>(_ value: UInt64) throws(ConfigurationChangeDecodingError) -> E {
        guard let known = Int32(exactly: value).flatMap(E.init(rawValue:)) else { throw failure("unknown value \(value)") }
        return known
    }

    private mutating func take(_ count: UInt64) throws(ConfigurationChangeDecodingError) -> ArraySlice<UInt8> {
        guard count <= UInt64(rest.count) else { throw failure("\(count) bytes wanted, \(rest.count) left") }
        let taken = rest.prefix(Int(count))
        rest = rest.dropFirst(Int(count))
        return taken
    }

    private mutating func varint() throws(ConfigurationChangeDecodingError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 7) {
            guard let byte = rest.popFirst() else { throw failure("unfinished varint") }
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        throw failure("varint of more than 64 bits")
    }
}
