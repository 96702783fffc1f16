import HTTP2

/// gRPC's status codes (grpc.io, "Status codes and their use in gRPC").
public enum GRPCCode: Int, Sendable, CaseIterable {
    case ok = 0
    case cancelled = 1
    case unknown = 2
    case invalidArgument = 3
    case deadlineExceeded = 4
    case notFound = 5
    case alreadyExists = 6
    case permissionDenied = 7
    case resourceExhausted = 8
    case failedPrecondition = 9
    case aborted = 10
    case outOfRange = 11
    case unimplemented = 12
    case `internal` = 13
    case unavailable = 14
    case dataLoss = 15
    case unauthenticated = 16
}

/// How a call ended: a code, and a text for people (and, with etcd, for clients that compare it).
public struct GRPCStatus: Error, Equatable, Sendable {
    public var code: GRPCCode
    public var message: String
    public init(_ code: GRPCCode, _ message: String = "") {
        self.code = code
        self.message = message
    }

    public static let ok = GRPCStatus(.ok)
}

extension GRPCStatus {
    /// The message as the `grpc-message` field carries it: everything but printable ASCII, and "%" itself, percent-encoded
    /// (gRPC over HTTP/2, "Percent-Encoded"). So is a space at either end, which no field value may have (RFC 9113, section 8.2.1).
    public var encodedMessage: String {
        func isPlain(_ byte: UInt8) -> Bool { (0x20...0x7e).contains(byte) && byte != UInt8(ascii: "%") }
        let space = UInt8(ascii: " ")
        if message.utf8.allSatisfy(isPlain), message.utf8.first != space, message.utf8.last != space { return message }
        let digits = Array("0123456789ABCDEF".utf8)
        let bytes = Array(message.utf8)
        var encoded: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if isPlain(byte), byte != space || (index > 0 && index < bytes.count - 1) {
                encoded.append(byte)
            } else {
                encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}

extension GRPCStatus {
    /// The status of a response, from its trailers or, when it has none, its header fields; nil without a `grpc-status`.
    public init?(trailers: HeaderBlock, head: HeaderBlock) {
        let block = trailers.first("grpc-status") == nil ? head : trailers
        guard let text = block.first("grpc-status"), let number = Int(String(decoding: text, as: UTF8.self)) else { return nil }
        // A code that nobody has defined means unknown (gRPC, "Status codes and their use").
        self.init(GRPCCode(rawValue: number) ?? .unknown, block.first("grpc-message").map(Self.decodedMessage) ?? "")
    }

    /// Percent-decoded; what is no proper escape stays as it is.
    static func decodedMessage(_ text: UnsafeRawBufferPointer) -> String {
        func digit(_ byte: UInt8) -> UInt8? {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
            case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
            case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var at = 0
        while at < text.count {
            if text[at] == UInt8(ascii: "%"), at + 2 < text.count, let high = digit(text[at + 1]), let low = digit(text[at + 2]) {
                bytes.append(high << 4 | low)
                at += 3
            } else {
                bytes.append(text[at])
                at += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The text as Go's `%q` prints it, which grpc-go's messages use for what a client sent.
func quoted(_ bytes: UnsafeRawBufferPointer) -> String {
    var text = "\""
    for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
        switch scalar {
        case "\"": text += "\\\""
        case "\\": text += "\\\\"
        case "\n": text += "\\n"
        case "\r": text += "\\r"
        case "\t": text += "\\t"
        case _ where scalar.value < 0x20 || scalar.value == 0x7f:
            let digits = String(scalar.value, radix: 16)
            text += "\\x" + (digits.count < 2 ? "0" : "") + digits
        default: text.unicodeScalars.append(scalar)
        }
    }
    return text + "\""
}
