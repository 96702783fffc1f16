/// A JSON value (RFC 8259). Objects keep the order of their fields; whole numbers up to 64 bits are exact.
public enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    /// A whole number of zero or more, written without fraction and exponent.
    case integer(UInt64)
    /// A whole number below zero, written without fraction and exponent.
    case negativeInteger(Int64)
    /// Every other number; finite.
    case double(Double)
    case string(String)
    case array([JSON])
    case object([Field])

    /// One name and value of an object.
    public struct Field: Equatable, Sendable {
        public var name: String
        public var value: JSON
        public init(_ name: String, _ value: JSON) {
            self.name = name
            self.value = value
        }
    }

    /// The value under a name; the last one when the name is repeated, as Go's decoder has it. Nil for anything but an object.
    public subscript(name: String) -> JSON? {
        guard case .object(let fields) = self else { return nil }
        return fields.last { $0.name == name }?.value
    }

    public var isNull: Bool { self == .null }

    public var bool: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    public var uint64: UInt64? {
        guard case .integer(let value) = self else { return nil }
        return value
    }

    public var int64: Int64? {
        switch self {
        case .integer(let value): Int64(exactly: value)
        case .negativeInteger(let value): value
        default: nil
        }
    }

    /// Any number, rounded where a double cannot hold it.
    public var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .negativeInteger(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    public var string: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    public var array: [JSON]? {
        guard case .array(let value) = self else { return nil }
        return value
    }

    public var object: [Field]? {
        guard case .object(let value) = self else { return nil }
        return value
    }
}

/// Why a text is not JSON, and at which byte.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    public let offset: Int
    public let reason: String

    public init(offset: Int, reason: String) {
        self.offset = offset
        self.reason = reason
    }

    public var description: String { "JSON at byte \(offset): \(reason)" }
}
