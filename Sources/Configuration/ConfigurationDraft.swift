typealias ConfigurationDraft = ConfigurationDraftOf<MemberConfiguration>

/// A configuration while settings are being put into it, with what was set by which name.
struct ConfigurationDraftOf<Root: ConfigurationRoot> {
    var configuration = Root()
    /// Names as given, older ones included, in the order in which they were first set.
    private(set) var given: [String] = []
    /// Feature gates that an older flag set, by the flag's name, and the gate list named as well.
    private(set) var gatesNamedTwice: [String: Feature] = [:]
    var notices: [ConfigurationNotice] = []

    /// Names of settings that keep no value and were given another one than their default.
    private(set) var unkept: [String] = []

    /// Sets one value and remembers that it was set.
    mutating func set(_ setting: SettingOf<Root>, _ text: String) throws(ValueProblem) {
        try setting.target.write(&configuration, text)
        if setting.target.keepsNothing, text != setting.target.read(configuration), !unkept.contains(setting.name) {
            unkept.append(setting.name)
        }
        noteGates(setting, text)
        if !given.contains(setting.name) { given.append(setting.name) }
    }

    func isGiven(_ name: String) -> Bool { given.contains(name) }

    private var gatesOfOlderFlags: [String: Feature] = [:]
    private var gatesOfList: Set<Feature> = []

    private mutating func noteGates(_ setting: SettingOf<Root>, _ text: String) {
        if setting.name == "feature-gates" {
            for part in text.split(separator: ",") {
                if let feature = Feature(rawValue: trimmed(String(part.prefix { $0 != "=" }))) { gatesOfList.insert(feature) }
            }
        } else if let feature = setting.target.feature {
            gatesOfOlderFlags[setting.name] = feature
        }
        gatesNamedTwice = gatesOfOlderFlags.filter { gatesOfList.contains($0.value) }
    }
}
