extension JSON {
    /// Arrays and objects inside one another; deeper texts are refused, so that recursion stays within any thread's stack.
    public static let maximumDepth = 256

    /// Reads one value with nothing but white space around it.
    public init(parsing bytes: UnsafeRawBufferPointer, maximumDepth: Int = JSON.maximumDepth) throws(JSONError) {
        var parser = JSONParser(bytes: bytes, maximumDepth: maximumDepth)
        self = try parser.document()
    }

    public init(parsing bytes: [UInt8], maximumDepth: Int = JSON.maximumDepth) throws(JSONError) {
        self = try bytes.withBytes { (raw) throws(JSONError) in
            try JSON(parsing: raw, maximumDepth: maximumDepth)
        }
    }

    public init(parsing text: String, maximumDepth: Int = JSON.maximumDepth) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), maximumDepth: maximumDepth)
    }
}

/// Recursive descent over borrowed bytes; they outlive it because it never leaves ``JSON/init(parsing:maximumDepth:)``.
private struct JSONParser {
    let bytes: UnsafeRawBufferPointer
    let maximumDepth: Int
    var position = 0
    var depth = 0

    init(bytes: UnsafeRawBufferPointer, maximumDepth: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
    }

    mutating func document() throws(JSONError) -> JSON {
        let value = try value()
        skipWhiteSpace()
        guard position == bytes.count else { throw error("more text after the value") }
        return value
    }

    func error(_ reason: String) -> JSONError { JSONError(offset: position, reason: reason) }

    var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipWhiteSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    mutating func value() throws(JSONError) -> JSON {
        skipWhiteSpace()
        guard let byte = next else { throw error("text ends where a value should be") }
        switch byte {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw error("no value starts with this byte")
        }
    }

    mutating func literal(_ text: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        for index in 0..<text.utf8CodeUnitCount {
            guard next == text.utf8Start[index] else { throw error("unknown word") }
            position += 1
        }
        return value
    }

    mutating func enter() throws(JSONError) {
        depth += 1
        guard depth <= maximumDepth else { throw error("nested deeper than \(maximumDepth)") }
        position += 1
    }

    mutating func array() throws(JSONError) -> JSON {
        try enter()
        var elements: [JSON] = []
        skipWhiteSpace()
        if next != UInt8(ascii: "]") {
            while true {
                elements.append(try value())
                skipWhiteSpace()
                guard next == UInt8(ascii: ",") else { break }
                position += 1
            }
        }
        guard next == UInt8(ascii: "]") else { throw error("array without its end") }
        position += 1
        depth -= 1
        return .array(elements)
    }

    mutating func object() throws(JSONError) -> JSON {
        try enter()
        var fields: [JSON.Field] = []
        skipWhiteSpace()
        if next != UInt8(ascii: "}") {
            while true {
                skipWhiteSpace()
                guard next == UInt8(ascii: "\"") else { throw error("object field without a name") }
                let name = try string()
                skipWhiteSpace()
                guard next == UInt8(ascii: ":") else { throw error("field name without a colon") }
                position += 1
                fields.append(JSON.Field(name, try value()))
                skipWhiteSpace()
                guard next == UInt8(ascii: ",") else { break }
                position += 1
            }
        }
        guard next == UInt8(ascii: "}") else { throw error("object without its end") }
        position += 1
        depth -= 1
        return .object(fields)
    }
}

// MARK: - Strings

extension JSONParser {
    mutating func string() throws(JSONError) -> String {
        let opening = position
        position += 1
        let start = position
        while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if next == UInt8(ascii: "\"") {
            let text = try utf8(UnsafeRawBufferPointer(rebasing: bytes[start..<position]), at: opening)
            position += 1
            return text
        }
        return try escapedString(from: start, opening: opening)
    }

    func utf8(_ raw: UnsafeRawBufferPointer, at opening: Int) throws(JSONError) -> String {
        guard let text = String(validating: raw, as: UTF8.self) else {
            throw JSONError(offset: opening, reason: "string is not UTF-8")
        }
        return text
    }

    mutating func escapedString(from start: Int, opening: Int) throws(JSONError) -> String {
        var text = Array(bytes[start..<position])
        while let byte = next, byte != UInt8(ascii: "\"") {
            guard byte >= 0x20 else { throw error("control character in a string") }
            position += 1
            if byte == UInt8(ascii: "\\") {
                try escape(into: &text)
            } else {
                text.append(byte)
            }
        }
        guard next != nil else { throw error("string without its end") }
        position += 1
        return try text.withBytes { (raw) throws(JSONError) in try utf8(raw, at: opening) }
    }

    mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        guard let byte = next else { throw error("string without its end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text.append(contentsOf: Array(Character(try scalar()).utf8))
        default:
            position -= 1
            throw error("unknown escape")
        }
    }

    /// One `\uXXXX`, or two that make a surrogate pair.
    mutating func scalar() throws(JSONError) -> Unicode.Scalar {
        let first = try hexadecimal()
        var code = first
        if first & 0xfc00 == 0xd800 {
            guard next == UInt8(ascii: "\\"), position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "u") else {
                throw error("half of a surrogate pair")
            }
            position += 2
            let second = try hexadecimal()
            guard second & 0xfc00 == 0xdc00 else { throw error("half of a surrogate pair") }
            code = 0x10000 + (first & 0x3ff) << 10 + (second & 0x3ff)
        }
        guard let scalar = Unicode.Scalar(code) else { throw error("half of a surrogate pair") }
        return scalar
    }

    mutating func hexadecimal() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = hexadecimalDigit(byte) else { throw error("\\u without four hexadecimal digits") }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }
}

// MARK: - Numbers

extension JSONParser {
    mutating func number() throws(JSONError) -> JSON {
        let start = position
        let isNegative = next == UInt8(ascii: "-")
        if isNegative { position += 1 }
        if next == UInt8(ascii: "0") { position += 1 } else { try digits() }
        let wholeEnd = position
        if next == UInt8(ascii: ".") {
            position += 1
            try digits()
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            position += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if position == wholeEnd {
            if let value = UInt64(text) { return .integer(value) }
            if let value = Int64(text) { return value == 0 ? .integer(0) : .negativeInteger(value) }
        }
        guard let value = Double(text), value.isFinite else {
            throw JSONError(offset: start, reason: "number out of range")
        }
        return .double(value)
    }

    mutating func digits() throws(JSONError) {
        let start = position
        while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
        guard position > start else { throw error("number without a digit") }
    }
}

/// The value of an ASCII hexadecimal digit of either case.
func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
