/// In whose words a command line is refused, and with which exit code.
enum CommandLineWords {
    /// Go's `flag` package, as etcd's members use it: exit code 2.
    case flag
    /// The `pflag` package, as etcd's subcommands use it: exit code 1.
    case pflag

    func unknownFlag(_ name: String) -> ConfigurationError {
        switch self {
        case .flag: .usage("flag provided but not defined: -\(name)")
        case .pflag: ConfigurationError("Error: unknown flag: --\(name)")
        }
    }

    func missingValue(_ name: String) -> ConfigurationError {
        switch self {
        case .flag: .usage("flag needs an argument: -\(name)")
        case .pflag: ConfigurationError("Error: flag needs an argument: --\(name)")
        }
    }

    func invalidValue<Root>(
        _ value: String, of setting: SettingOf<Root>, _ problem: ValueProblem
    ) -> ConfigurationError {
        let target = setting.target
        let allowed = " (allowed: \(target.allowed))"
        switch self {
        case .flag where target.isTruth:
            return .usage("invalid boolean value \(goQuoted(value)) for -\(setting.name): \(problem.reason)\(allowed)")
        case .flag: return .usage("invalid value \(goQuoted(value)) for flag -\(setting.name): \(problem.reason)\(allowed)")
        case .pflag:
            let reason = Self.reason(value, target, problem)
            return ConfigurationError(
                "Error: invalid argument \(goQuoted(value)) for \"--\(setting.name)\" flag: \(reason)\(allowed)")
        }
    }

    /// `pflag` passes on what Go's `strconv` and `time` say.
    private static func reason<Root>(_ value: String, _ target: SettingTargetOf<Root>, _ problem: ValueProblem) -> String {
        let parser: String
        switch target.syntax {
        case .truth: parser = "ParseBool"
        case .number: parser = target.isSigned ? "ParseInt" : "ParseUint"
        case .duration:
            do {
                _ = try DurationText.nanoseconds(value)
                return problem.reason
            } catch {
                return error.reason
            }
        case .text, .list: return problem.reason
        }
        return "strconv.\(parser): parsing \(goQuoted(value)): \(problem == .range ? problem.reason : "invalid syntax")"
    }
}
