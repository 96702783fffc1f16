typealias SettingTarget = SettingTargetOf<MemberConfiguration>

/// How a setting is written.
enum SettingSyntax: String, Sendable, Equatable {
    case text, truth, number, duration, list
}

/// How a setting's text becomes a value of the configuration and back.
struct SettingTargetOf<Root: ConfigurationRoot>: Sendable {
    typealias ConfigurationPath<Value> = WritableKeyPath<Root, Value> & Sendable
    typealias Writer = @Sendable (inout Root, String) throws(ValueProblem) -> Void

    let syntax: SettingSyntax
    /// What may be given, for error messages.
    let allowed: String
    /// The current value as text: the default, when asked of an untouched configuration.
    let read: @Sendable (Root) -> String
    let write: Writer
    /// The feature gate behind a truth flag, if one is.
    var feature: Feature?
    /// The value is checked and then forgotten, so that reading cannot tell whether one was given.
    var keepsNothing = false
    /// A number that may be negative.
    var isSigned = false

    init(
        syntax: SettingSyntax, allowed: String, read: @escaping @Sendable (Root) -> String, write: @escaping Writer
    ) {
        self.syntax = syntax
        self.allowed = allowed
        self.read = read
        self.write = write
    }

    /// On the command line such a flag needs no value: alone it means true.
    var isTruth: Bool { syntax == .truth }
}

extension SettingTargetOf {
    static func text(_ path: ConfigurationPath<String>, allowed: String = "any text") -> SettingTargetOf {
        SettingTargetOf(syntax: .text, allowed: allowed, read: { $0[keyPath: path] }) {
            configuration, text throws(ValueProblem) in
            configuration[keyPath: path] = text
        }
    }

    static func truth(_ path: ConfigurationPath<Bool>) -> SettingTargetOf {
        SettingTargetOf(syntax: .truth, allowed: "true or false", read: { String($0[keyPath: path]) }) {
            configuration, text throws(ValueProblem) in
            configuration[keyPath: path] = try NumberText.truth(text)
        }
    }

    static func unsigned(_ path: ConfigurationPath<UInt64>, bits: Int = 64) -> SettingTargetOf {
        let allowed = bits == 64 ? "a whole number, not negative" : "a whole number from 0 to \((UInt64(1) << UInt64(bits)) - 1)"
        return SettingTargetOf(syntax: .number, allowed: allowed, read: { String($0[keyPath: path]) }) {
            configuration, text throws(ValueProblem) in
            configuration[keyPath: path] = try NumberText.unsigned(text, bits: bits)
        }
    }

    /// A number whose default depends on more than the table knows.
    static func optionalUnsigned(_ path: ConfigurationPath<UInt64?>) -> SettingTargetOf {
        SettingTargetOf(
            syntax: .number, allowed: "a whole number, not negative", read: { $0[keyPath: path].map { String($0) } ?? "" }
        ) { configuration, text throws(ValueProblem) in
            configuration[keyPath: path] = try NumberText.unsigned(text)
        }
    }

    static func signed(_ path: ConfigurationPath<Int64>) -> SettingTargetOf {
        var target = SettingTargetOf(syntax: .number, allowed: "a whole number", read: { String($0[keyPath: path]) }) {
            configuration, text throws(ValueProblem) in
            configuration[keyPath: path] = try NumberText.signed(text)
        }
        target.isSigned = true
        return target
    }

    static func duration(_ path: ConfigurationPath<Duration>) -> SettingTargetOf {
        SettingTargetOf(
            syntax: .duration, allowed: "a duration with its unit, as 300ms, 5s or 1h30m",
            read: { DurationText.text($0[keyPath: path]) }
        ) { configuration, text throws(ValueProblem) in
            do {
                configuration[keyPath: path] = try DurationText.parse(text)
            } catch {
                throw .syntax
            }
        }
    }

    /// One of a closed set of words.
    static func choice<Value: RawRepresentable & CaseIterable & Sendable>(
        _ path: ConfigurationPath<Value>
    ) -> SettingTargetOf where Value.RawValue == String {
        let words = Value.allCases.map { goQuoted($0.rawValue) }.joined(separator: ", ")
        return SettingTargetOf(syntax: .text, allowed: "one of " + words, read: { $0[keyPath: path].rawValue }) {
            configuration, text throws(ValueProblem) in
            guard let value = Value(rawValue: text) else { throw ValueProblem(reason: "invalid value") }
            configuration[keyPath: path] = value
        }
    }

    /// One of a closed set of words, kept as text.
    static func words(_ path: ConfigurationPath<String>, _ words: [String]) -> SettingTargetOf {
        let allowed = "one of " + words.map { goQuoted($0) }.joined(separator: ", ")
        return SettingTargetOf(syntax: .text, allowed: allowed, read: { $0[keyPath: path] }) {
            configuration, text throws(ValueProblem) in
            guard words.contains(text) else { throw ValueProblem(reason: "invalid value") }
            configuration[keyPath: path] = text
        }
    }

    /// Any number of a closed set of words, separated by commas, kept as text.
    static func wordList(_ path: ConfigurationPath<String>, _ words: [String]) -> SettingTargetOf {
        let allowed = words.map { goQuoted($0) }.joined(separator: ", ")
        return SettingTargetOf(syntax: .text, allowed: allowed, read: { $0[keyPath: path] }) {
            configuration, text throws(ValueProblem) in
            if let wrong = splitCommas(text).first(where: { !words.contains($0) }) {
                throw ValueProblem(reason: "invalid value \(goQuoted(wrong))")
            }
            configuration[keyPath: path] = text
        }
    }

    /// URLs; an empty text keeps the default, as in etcd.
    static func urls(_ path: ConfigurationPath<[EndpointURL]>) -> SettingTargetOf {
        SettingTargetOf(
            syntax: .list, allowed: "URLs as http://HOST:PORT or unix://PATH, separated by commas",
            read: { $0[keyPath: path].map { $0.description }.joined(separator: ",") }
        ) { configuration, text throws(ValueProblem) in
            guard !text.isEmpty else { return }
            configuration[keyPath: path] = try EndpointURL.parseList(text)
        }
    }

    /// Words separated by commas, in the order given.
    static func list(_ path: ConfigurationPath<[String]>) -> SettingTargetOf {
        SettingTargetOf(
            syntax: .list, allowed: "words separated by commas", read: { $0[keyPath: path].joined(separator: ",") }
        ) { configuration, text throws(ValueProblem) in
            configuration[keyPath: path] = text.isEmpty ? [] : splitCommas(text)
        }
    }

    /// Words separated by commas; sorted, without repetitions.
    static func set(_ path: ConfigurationPath<[String]>) -> SettingTargetOf {
        SettingTargetOf(
            syntax: .list, allowed: "words separated by commas", read: { $0[keyPath: path].joined(separator: ",") }
        ) { configuration, text throws(ValueProblem) in
            configuration[keyPath: path] = text.isEmpty ? [] : sortedSet(splitCommas(text))
        }
    }

    /// `*` or a list of URLs.
    static func origins(_ path: ConfigurationPath<[String]>) -> SettingTargetOf {
        SettingTargetOf(
            syntax: .list, allowed: "* or URLs separated by commas", read: { $0[keyPath: path].joined(separator: ",") }
        ) { configuration, text throws(ValueProblem) in
            if text == "*" || text.isEmpty {
                configuration[keyPath: path] = ["*"]
            } else {
                configuration[keyPath: path] = try EndpointURL.parseList(text).map { $0.description }
            }
        }
    }

    /// `true` raises the log level to debug.
    static var debugLevel: SettingTargetOf {
        SettingTargetOf(syntax: .truth, allowed: "true or false", read: { String($0.logging.level == "debug") }) {
            configuration, text throws(ValueProblem) in
            if try NumberText.truth(text) { configuration.logging.level = "debug" }
        }
    }

    /// Reads like a truth value and keeps nothing: flags that ask the program for something else than to run.
    static var request: SettingTargetOf {
        SettingTargetOf(syntax: .truth, allowed: "true or false", read: { _ in "false" }) { _, text throws(ValueProblem) in
            _ = try NumberText.truth(text)
        }.forgetting()
    }

    /// Takes anything and keeps nothing.
    static var nothing: SettingTargetOf {
        SettingTargetOf(syntax: .truth, allowed: "anything", read: { _ in "" }) { _, _ throws(ValueProblem) in }.forgetting()
    }

    /// Checked like a number, kept nowhere.
    static func unusedNumber(default value: String) -> SettingTargetOf {
        SettingTargetOf(syntax: .number, allowed: "a whole number, not negative", read: { _ in value }) {
            _, text throws(ValueProblem) in
            _ = try NumberText.unsigned(text)
        }.forgetting()
    }

    private func forgetting() -> SettingTargetOf {
        var target = self
        target.keepsNothing = true
        return target
    }
}

extension SettingTargetOf where Root == MemberConfiguration {
    static var featureGates: SettingTargetOf {
        let names = (Feature.allCases.map { $0.rawValue } + ["AllAlpha", "AllBeta"]).joined(separator: ", ")
        return SettingTargetOf(
            syntax: .list, allowed: "NAME=true or NAME=false, separated by commas; names: " + names,
            read: { $0.featureGates.text }
        ) { configuration, text throws(ValueProblem) in
            try configuration.featureGates.parse(text)
        }
    }

    /// The older flag form of a feature gate.
    static func gate(_ feature: Feature) -> SettingTargetOf {
        var target = SettingTargetOf(
            syntax: .truth, allowed: "true or false", read: { String($0.featureGates.isEnabled(feature)) }
        ) {
            configuration, text throws(ValueProblem) in
            configuration.featureGates.set(feature, try NumberText.truth(text))
        }
        target.feature = feature
        return target
    }
}

func splitCommas(_ text: String) -> [String] {
    text.split(separator: ",", omittingEmptySubsequences: false).map { String($0) }
}

func sortedSet(_ texts: [String]) -> [String] {
    Array(Set(texts)).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
}
