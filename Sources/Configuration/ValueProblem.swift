/// Why a setting's text could not become a value. The words for `syntax` and `range` are those of Go's `flag` package.
struct ValueProblem: Error, Equatable {
    let reason: String

    static let syntax = ValueProblem(reason: "parse error")
    static let range = ValueProblem(reason: "value out of range")
}

/// A configuration that cannot be used, or cannot be used yet.
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// One or more lines for the operator; names the flag, environment variable or file key it is about.
    public let message: String
    /// The process's exit code: 2 where etcd's flag parser stops (command line syntax, or a panic over the log level), else 1.
    public let exitCode: Int32
    /// The usage text belongs after the message, as after every error of Go's flag parser.
    public let showsUsage: Bool

    public var description: String { message }

    /// A refusal of the configuration as a whole, after parsing: exit code 1.
    public init(_ message: String, exitCode: Int32 = 1) {
        self.message = message
        self.exitCode = exitCode
        self.showsUsage = false
    }

    /// A refusal by the command line's syntax: exit code 2, with usage.
    static func usage(_ message: String) -> ConfigurationError {
        ConfigurationError(usageMessage: message)
    }

    private init(usageMessage: String) {
        message = usageMessage
        exitCode = 2
        showsUsage = true
    }
}

/// Something the operator should see once logging runs: reading the configuration happens before there is a logger.
public struct ConfigurationNotice: Equatable, Sendable {
    public enum Level: Sendable { case info, warning }

    public struct Field: Equatable, Sendable {
        public let name: String
        public let value: String
    }

    public let level: Level
    public let message: String
    public let fields: [Field]

    static func info(_ message: String, _ fields: (String, String)...) -> ConfigurationNotice {
        ConfigurationNotice(level: .info, message: message, fields: fields.map { Field(name: $0.0, value: $0.1) })
    }

    static func warning(_ message: String, _ fields: (String, String)...) -> ConfigurationNotice {
        ConfigurationNotice(level: .warning, message: message, fields: fields.map { Field(name: $0.0, value: $0.1) })
    }
}
