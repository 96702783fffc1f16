/// A line of the log as systemd's journal takes it: fields `NAME=value`, each behind its length in eight bytes (little-endian).
///
/// The message holds the fields too, as `name=value`, because `journalctl` shows nothing else; each is a field of its own as well,
/// `QUORATE_NAME`, so that `journalctl QUORATE_ROLE=leader` finds it.
public struct JournalRecord {
    private var bytes: [UInt8] = []

    static func encode(
        _ level: LogLevel, _ caller: LogLine.Caller, _ message: String, _ fields: KeyValuePairs<String, LogValue>
    ) -> [UInt8] {
        var record = JournalRecord()
        record.bytes.reserveCapacity(512)
        let shown = fields.map { (name: $0.key, value: LogLine.plain($0.value)) }
        record.append(
            "MESSAGE", message + shown.map { " \($0.name)=\($0.value.contains(" ") ? "\"\($0.value)\"" : $0.value)" }.joined())
        record.append("PRIORITY", String(level.syslogPriority))
        record.append("CODE_FILE", caller.file.description)
        record.append("CODE_LINE", String(caller.line))
        for field in shown { record.append("QUORATE_" + fieldName(field.name), field.value) }
        return record.bytes
    }

    /// The fields of an encoded record, `NAME=value`; they point into it.
    public static func fields(of record: UnsafeRawBufferPointer) -> [UnsafeRawBufferPointer] {
        var fields: [UnsafeRawBufferPointer] = []
        var at = 0
        while at + 8 <= record.count {
            let length = Int(UInt64(littleEndian: record.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
            fields.append(UnsafeRawBufferPointer(rebasing: record[(at + 8)..<(at + 8 + length)]))
            at += 8 + length
        }
        return fields
    }

    private mutating func append(_ name: String, _ value: String) {
        let length = UInt64(name.utf8.count + 1 + value.utf8.count)
        withUnsafeBytes(of: length.littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: name.utf8)
        bytes.append(UInt8(ascii: "="))
        bytes.append(contentsOf: value.utf8)
    }

    /// The journal takes capital letters, digits and underscores, at most 64 of them.
    private static func fieldName(_ name: String) -> String {
        String(
            name.utf8.prefix(50).map { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"): Character(UnicodeScalar(byte - 32))
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): Character(UnicodeScalar(byte))
                default: "_"
                }
            })
    }
}

extension LogLevel {
    /// syslog's number of this level.
    var syslogPriority: Int {
        switch self {
        case .debug: 7
        case .info: 6
        case .warn: 4
        case .error: 3
        case .developmentPanic, .panic, .fatal: 2
        }
    }
}
