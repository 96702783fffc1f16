/// Names of the settings whose values differ, in the table's order: what a reload has to look at.
public func settingsThatDiffer(_ old: MemberConfiguration, _ new: MemberConfiguration) -> [String] {
    SettingsTable().settings.filter { setting in setting.target.read(old) != setting.target.read(new) }.map(\.name)
}

/// The same for the proxy.
public func settingsThatDiffer(_ old: ProxyConfiguration, _ new: ProxyConfiguration) -> [String] {
    ProxySettings.rows.filter { setting in setting.target.read(old) != setting.target.read(new) }.map(\.name)
}
