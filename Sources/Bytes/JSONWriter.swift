extension JSON {
    /// What a string's characters are written as, beyond what JSON demands.
    public enum Escaping: Sendable {
        /// Only quotes, backslashes and control characters.
        case minimal
        /// Also `<`, `>`, `&`, U+2028 and U+2029: what Go's `encoding/json` writes unless told otherwise.
        case go
    }

    /// Appends this value without white space.
    public func write(to writer: inout ByteWriter, escaping: Escaping = .go) {
        switch self {
        case .null: writer.append("null")
        case .bool(let value): writer.append(value ? "true" : "false" as StaticString)
        case .integer(let value): writer.append(String(value))
        case .negativeInteger(let value): writer.append(String(value))
        case .double(let value): writer.append(JSON.text(of: value))
        case .string(let text): JSON.writeString(text, to: &writer, escaping: escaping)
        case .array(let elements):
            writer.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { writer.append(UInt8(ascii: ",")) }
                element.write(to: &writer, escaping: escaping)
            }
            writer.append(UInt8(ascii: "]"))
        case .object(let fields):
            writer.append(UInt8(ascii: "{"))
            for (index, field) in fields.enumerated() {
                if index > 0 { writer.append(UInt8(ascii: ",")) }
                JSON.writeString(field.name, to: &writer, escaping: escaping)
                writer.append(UInt8(ascii: ":"))
                field.value.write(to: &writer, escaping: escaping)
            }
            writer.append(UInt8(ascii: "}"))
        }
    }

    public func bytes(escaping: Escaping = .go) -> [UInt8] {
        var writer = ByteWriter()
        write(to: &writer, escaping: escaping)
        return writer.array()
    }

    public func text(escaping: Escaping = .go) -> String {
        String(decoding: bytes(escaping: escaping), as: UTF8.self)
    }

    /// The shortest digits that read back as the same number; whole values without `.0`. JSON has no infinity: it is a bug.
    static func text(of value: Double) -> String {
        precondition(value.isFinite, "JSON cannot hold an infinity or NaN")
        let text = value.description
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    /// Appends a string with its quotes, for those who write JSON without building values first.
    public static func writeString(_ text: String, to writer: inout ByteWriter, escaping: Escaping = .go) {
        var text = text
        writer.append(UInt8(ascii: "\""))
        text.withUTF8 { writeEscaped(UnsafeRawBufferPointer($0), to: &writer, escaping: escaping) }
        writer.append(UInt8(ascii: "\""))
    }

    private static func writeEscaped(_ utf8: UnsafeRawBufferPointer, to writer: inout ByteWriter, escaping: Escaping) {
        var start = 0
        var index = 0
        while index < utf8.count {
            let length = lengthToEscape(utf8, at: index, escaping: escaping)
            if length > 0 {
                writer.append(UnsafeRawBufferPointer(rebasing: utf8[start..<index]))
                writeEscape(utf8, at: index, to: &writer)
                start = index + length
            }
            index += max(length, 1)
        }
        writer.append(UnsafeRawBufferPointer(rebasing: utf8[start...]))
    }

    /// Bytes of the character at `index` when it must not stand as it is, otherwise zero.
    private static func lengthToEscape(_ utf8: UnsafeRawBufferPointer, at index: Int, escaping: Escaping) -> Int {
        let byte = utf8[index]
        if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return 1 }
        guard escaping == .go else { return 0 }
        if byte == UInt8(ascii: "<") || byte == UInt8(ascii: ">") || byte == UInt8(ascii: "&") { return 1 }
        // U+2028 and U+2029 are E2 80 A8 and E2 80 A9.
        let isSeparator = byte == 0xe2 && index + 2 < utf8.count && utf8[index + 1] == 0x80 && utf8[index + 2] & 0xfe == 0xa8
        return isSeparator ? 3 : 0
    }

    private static func writeEscape(_ utf8: UnsafeRawBufferPointer, at index: Int, to writer: inout ByteWriter) {
        switch utf8[index] {
        case UInt8(ascii: "\""): writer.append("\\\"" as StaticString)
        case UInt8(ascii: "\\"): writer.append("\\\\" as StaticString)
        case 0x08: writer.append("\\b" as StaticString)
        case 0x09: writer.append("\\t" as StaticString)
        case 0x0a: writer.append("\\n" as StaticString)
        case 0x0c: writer.append("\\f" as StaticString)
        case 0x0d: writer.append("\\r" as StaticString)
        case 0xe2: writer.append(utf8[index + 2] == 0xa8 ? "\\u2028" : "\\u2029" as StaticString)
        default:
            writer.append("\\u00" as StaticString)
            writer.append(hexadecimalDigits[Int(utf8[index] >> 4)])
            writer.append(hexadecimalDigits[Int(utf8[index] & 0xf)])
        }
    }

    private static let hexadecimalDigits = Array("0123456789abcdef".utf8)
}
