/// One value of a log line.
public enum LogValue: Sendable {
    case string(String)
    case int(Int64)
    case uint(UInt64)
    case double(Double)
    case bool(Bool)
    /// Written as Go writes durations: `1.5s`, `2h0m0s`.
    case duration(Duration)
    case strings([String])

    /// Any whole number.
    public static func int<Number: BinaryInteger>(_ value: Number) -> LogValue { .int(Int64(clamping: value)) }

    /// A raft or member id as etcd logs it: hexadecimal, without leading zeros.
    public static func id(_ value: UInt64) -> LogValue { .string(String(value, radix: 16)) }

    /// An error, by its description.
    public static func error(_ error: any Error) -> LogValue { .string(String(describing: error)) }
}

extension LogValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

/// How important a line is: zap's levels, which etcd uses.
public enum LogLevel: Int, Sendable, Comparable, CaseIterable {
    case debug, info, warn, error
    case developmentPanic, panic, fatal

    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }

    /// As written in lines and accepted by `--log-level`.
    public var name: String {
        switch self {
        case .debug: return "debug"
        case .info: return "info"
        case .warn: return "warn"
        case .error: return "error"
        case .developmentPanic: return "dpanic"
        case .panic: return "panic"
        case .fatal: return "fatal"
        }
    }

    public init?(name: String) {
        guard let level = LogLevel.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }
}

/// The form of a line.
public enum LogFormat: String, Sendable {
    case json, console
}
