import Bytes
import Glibc

@testable import EtcdAPI

/// Lines of a file beside the tests, split at the separator.
func fixture(_ name: String, separator: Character = " ") -> [[String]] {
    let directory = String(#filePath.prefix(through: #filePath.lastIndex(of: "/")!))
    guard let file = fopen(directory + "Fixtures/" + name, "r") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
        line.split(separator: separator, omittingEmptySubsequences: false).map { String($0) }
    }
}

/// Bytes of "x0a0b".
func unhex(_ text: String) -> [UInt8] {
    let digits = text.dropFirst().compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.reduce(into: "x") { text, byte in
        let digits = String(byte, radix: 16)
        text += digits.count == 1 ? "0" + digits : digits
    }
}

/// A message's set fields as `{name=value,...}` in order of names without case and underscores: numbers in decimal, bytes and
/// text in hexadecimal, defaults left out.
func describe(_ message: any Message) -> String {
    var fields: [(String, String)] = []
    for child in Mirror(reflecting: message).children where child.label != "unknownField" {
        if let field = describe(field: child.label!.lowercased(), child.value) { fields.append(field) }
    }
    return "{" + fields.sorted { $0.0 < $1.0 }.map { "\($0.0)=\($0.1)" }.joined(separator: ",") + "}"
}

private func describe(field name: String, _ value: Any) -> (String, String)? {
    let mirror = Mirror(reflecting: value)
    switch mirror.displayStyle {
    case .optional: return mirror.children.first.map { describe(optional: name, $0.value) }
    case .collection where !(value is [UInt8]):
        return mirror.children.isEmpty ? nil : (name, "[" + mirror.children.map { plain($0.value) }.joined(separator: ",") + "]")
    default:
        let text = plain(value)
        return ["0", "x"].contains(text) ? nil : (name, text)
    }
}

/// What an optional holds: a message, or the chosen member of a oneof, which goes by its own name.
private func describe(optional name: String, _ value: Any) -> (String, String) {
    if let message = value as? any Message { return (name, describe(message)) }
    let member = Mirror(reflecting: value).children.first!
    return (member.label!.lowercased(), plain(member.value))
}

private func plain(_ value: Any) -> String {
    switch value {
    case let message as any Message: describe(message)
    case let bytes as [UInt8]: hex(bytes)
    case let text as String: hex(text.utf8)
    case let flag as Bool: flag ? "1" : "0"
    case let number as any OpenEnum: "\(number.rawValue)"
    default: "\(value)"
    }
}
