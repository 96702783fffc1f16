/// Takes a command line apart by the rules of Go's `flag` package: one dash or two, `-name value`, `-name=value`, a truth flag
/// without value, and an end at `--` or at the first word that is no flag.
struct FlagScanner {
    private var arguments: ArraySlice<String>

    private let words: CommandLineWords

    init(_ arguments: [String], _ words: CommandLineWords = .flag) {
        self.arguments = arguments[...]
        self.words = words
    }

    /// Words after the flags.
    var remaining: ArraySlice<String> { arguments }

    enum Flag: Equatable {
        case help
        case setting(name: String, value: String)
    }

    /// The next flag, or nil after the last one.
    /// - Parameter isTruth: whether a flag of that name can stand without value; nil for an unknown name.
    mutating func next(isTruth: (String) -> Bool?) throws(ConfigurationError) -> Flag? {
        guard let word = arguments.first, word.hasPrefix("-"), word.utf8.count > 1 else { return nil }
        arguments = arguments.dropFirst()
        if word == "--" { return nil }
        let body = word.dropFirst(word.hasPrefix("--") ? 2 : 1)
        guard let first = body.first, first != "-", first != "=" else { throw .usage("bad flag syntax: \(word)") }
        let name = String(body.prefix { $0 != "=" })
        let value = name.count < body.count ? String(body.dropFirst(name.count + 1)) : nil
        guard let isTruth = isTruth(name) else {
            if name == "help" || name == "h" { return .help }
            throw words.unknownFlag(name)
        }
        if let value { return .setting(name: name, value: value) }
        if isTruth { return .setting(name: name, value: "true") }
        guard let following = arguments.first else { throw words.missingValue(name) }
        arguments = arguments.dropFirst()
        return .setting(name: name, value: following)
    }
}
