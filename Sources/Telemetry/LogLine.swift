import Glibc

/// A moment of the wall clock.
public struct WallTime: Sendable, Equatable {
    /// Since 1970, UTC.
    public let seconds: Int64
    public let nanoseconds: Int32

    public init(seconds: Int64, nanoseconds: Int32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    public static func now() -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(seconds: Int64(time.tv_sec), nanoseconds: Int32(time.tv_nsec))
    }

    /// Year, month, day of the Gregorian calendar in UTC: days since 0000-03-01 are split into 400-year eras, so that the leap
    /// day is the last of its year.
    var date: (year: Int64, month: Int64, day: Int64) {
        let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400 + 719_468
        let era = (days >= 0 ? days : days - 146_096) / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    /// `2026-11-21T04:20:33.123456Z` (RFC 3339).
    public var text: String {
        var line = LogLine()
        line.append(self)
        return String(decoding: line.bytes, as: UTF8.self)
    }

    var secondOfDay: Int64 { ((seconds % 86_400) + 86_400) % 86_400 }
}

/// Builds one line in the form of zap's encoders with etcd's configuration (`client/pkg/logutil/zap.go`). Times are always UTC;
/// etcd uses the process's time zone, which in its containers and units is UTC too.
struct LogLine {
    /// Where in the source a line comes from.
    struct Caller {
        /// `Room/File.swift`
        let file: StaticString
        let line: UInt
    }

    private(set) var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(240) }

    /// `{"level":"info","ts":"2026-11-21T04:20:33.123456Z","caller":"Room/File.swift:12","msg":"...","key":value}`
    static func json(
        _ level: LogLevel, _ time: WallTime, _ caller: Caller, _ message: String, _ fields: KeyValuePairs<String, LogValue>
    ) -> [UInt8] {
        var line = LogLine()
        line.append("{\"level\":\"")
        line.append(level.name)
        line.append("\",\"ts\":\"")
        line.append(time)
        line.append("\",\"caller\":\"")
        line.append(caller)
        line.append("\",\"msg\":")
        line.append(quoted: message)
        for (key, value) in fields {
            line.append(",")
            line.append(quoted: key)
            line.append(":")
            line.append(value)
        }
        line.append("}\n")
        return line.bytes
    }

    /// `2026-11-21T04:20:33.123456Z<TAB>info<TAB>Room/File.swift:12<TAB>message<TAB>{"key": value}`
    static func console(
        _ level: LogLevel, _ time: WallTime, _ caller: Caller, _ message: String, _ fields: KeyValuePairs<String, LogValue>
    ) -> [UInt8] {
        var line = LogLine()
        line.append(time)
        line.append("\t")
        line.append(level.name)
        line.append("\t")
        line.append(caller)
        line.append("\t")
        // A message of several lines stays one line of the log.
        line.append(message.contains(where: { $0.isNewline }) ? String(message.map { $0.isNewline ? " " : $0 }) : message)
        for (index, (key, value)) in fields.enumerated() {
            line.append(index == 0 ? "\t{" : ", ")
            line.append(quoted: key)
            line.append(": ")
            line.append(value, spaced: true)
        }
        line.append(fields.isEmpty ? "\n" : "}\n")
        return line.bytes
    }

    /// A value without quotes around texts.
    static func plain(_ value: LogValue) -> String {
        switch value {
        case .string(let text): return text
        case .strings(let texts): return texts.joined(separator: ",")
        case .duration(let duration): return durationText(duration)
        case .int, .uint, .double, .bool:
            var line = LogLine()
            line.append(value)
            return String(decoding: line.bytes, as: UTF8.self)
        }
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// The name of a source file needs no escapes in JSON.
    private mutating func append(_ caller: Caller) {
        caller.file.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(UInt8(ascii: ":"))
        append(UInt64(caller.line))
    }

    private mutating func append(_ value: UInt64) {
        var divisor: UInt64 = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }

    private mutating func append(_ value: Int64) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        append(value.magnitude)
    }

    fileprivate mutating func append(_ time: WallTime) {
        let (year, month, day) = time.date
        append(digits: year, width: 4)
        append("-")
        append(digits: month, width: 2)
        append("-")
        append(digits: day, width: 2)
        append("T")
        append(digits: time.secondOfDay / 3_600, width: 2)
        append(":")
        append(digits: time.secondOfDay / 60 % 60, width: 2)
        append(":")
        append(digits: time.secondOfDay % 60, width: 2)
        append(".")
        append(digits: Int64(time.nanoseconds / 1_000), width: 6)
        append("Z")
    }

    private mutating func append(digits value: Int64, width: Int) {
        var divisor: Int64 = 1
        for _ in 1..<width { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }

    private mutating func append(_ value: LogValue, spaced: Bool = false) {
        switch value {
        case .string(let text): append(quoted: text)
        case .int(let number): append(number)
        case .uint(let number): append(number)
        case .double(let number): append(number.isFinite ? MetricsText.number(number) : "\"\(MetricsText.number(number))\"")
        case .bool(let truth): append(truth ? "true" : "false")
        case .duration(let duration): append(quoted: durationText(duration))
        case .strings(let texts):
            append("[")
            for (index, text) in texts.enumerated() {
                if index > 0 { append(spaced ? ", " : ",") }
                append(quoted: text)
            }
            append("]")
        }
    }

    /// A JSON string. A Swift string is valid UTF-8, so only control characters, quotes and backslashes need an escape.
    private mutating func append(quoted text: String) {
        bytes.append(UInt8(ascii: "\""))
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            bytes.append(contentsOf: text.utf8)
        } else {
            append(escaped: text)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func append(escaped text: String) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\n"): append("\\n")
            case UInt8(ascii: "\r"): append("\\r")
            case UInt8(ascii: "\t"): append("\\t")
            case 0..<0x20: append("\\u00" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16))
            default: bytes.append(byte)
            }
        }
    }
}

/// A duration as Go's `time.Duration` prints itself.
func durationText(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    let nanoseconds = (attoseconds / 1_000_000_000).magnitude
    let whole = seconds.magnitude
    let sign = seconds < 0 || attoseconds < 0 ? "-" : ""
    func decimal(_ value: UInt64, _ unit: UInt64) -> String {
        guard value % unit != 0 else { return String(value / unit) }
        var fraction = String(value % unit + unit).dropFirst()
        while fraction.last == "0" { fraction = fraction.dropLast() }
        return "\(value / unit).\(fraction)"
    }
    if whole == 0 {
        if nanoseconds == 0 { return "0s" }
        if nanoseconds < 1_000 { return "\(sign)\(nanoseconds)ns" }
        if nanoseconds < 1_000_000 { return sign + decimal(nanoseconds, 1_000) + "\u{B5}s" }
        return sign + decimal(nanoseconds, 1_000_000) + "ms"
    }
    let hours = whole >= 3_600 ? "\(whole / 3_600)h" : ""
    let minutes = whole >= 60 ? "\(whole / 60 % 60)m" : ""
    return sign + hours + minutes + decimal(whole % 60 * 1_000_000_000 + nanoseconds, 1_000_000_000) + "s"
}
