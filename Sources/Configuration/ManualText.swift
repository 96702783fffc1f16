/// The part of a manual page that the table of settings knows: every flag with its variable, default, file key and help, in roff.
public func memberFlagsManual() -> String { flagsManual(SettingsTable(), MemberConfiguration()) }

/// The same for the proxy.
public func proxyFlagsManual() -> String { flagsManual(SettingsTableOf(ProxySettings.rows), ProxyConfiguration()) }

private func flagsManual<Root>(_ table: SettingsTableOf<Root>, _ untouched: Root) -> String {
    var text = ""
    for group in SettingGroup.allCases {
        let rows = table.settings.filter { $0.group == group && !$0.isFileOnly }
        if rows.isEmpty { continue }
        text += ".SS \(roff(group.rawValue))\n"
        for setting in rows { text += entry(setting, untouched) }
    }
    return text
}

private func entry<Root>(_ setting: SettingOf<Root>, _ untouched: Root) -> String {
    let value = setting.defaultText ?? setting.target.read(untouched)
    let given = setting.target.isTruth ? "" : " \\fI\(roff(setting.target.syntax.rawValue))\\fR"
    var lines = [".TP", "\\fB\(roff("--" + setting.name))\\fR\(given)", roff(setting.help)]
    switch setting.effect {
    case .notSupportedYet(let message): lines.append(roff("Not available: \(message)."))
    case .acceptedWithoutEffect(let reason): lines.append(roff("Without effect: \(reason)."))
    case .supported, .deprecatedAlias, .ignoredByEtcd, .removed: break
    }
    var facts = value.isEmpty ? [] : ["Default: \(value)."]
    facts.append("Variable: \(setting.environmentVariable).")
    let keys = setting.fileKeys.filter { $0 != setting.name }
    if !keys.isEmpty { facts.append("File: \(keys.joined(separator: ", ")).") }
    if !setting.releases.isEmpty, setting.releases != .all {
        facts.append("Known to etcd \(setting.releases.names.joined(separator: ", ")).")
    }
    lines.append(roff(facts.joined(separator: " ")))
    return lines.joined(separator: "\n") + "\n"
}

private func roff(_ text: String) -> String {
    var escaped = ""
    for character in text {
        switch character {
        case "\\": escaped += "\\e"
        case "-": escaped += "\\-"
        case "'": escaped += "\\(aq"
        default: escaped.append(character)
        }
    }
    return escaped.hasPrefix(".") ? "\\&" + escaped : escaped
}
