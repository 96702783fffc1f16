/// What `--help` prints: the table's rows by group, with defaults and the releases of etcd that know a flag where not all do.
func helpText(_ table: SettingsTable) -> String {
    let untouched = MemberConfiguration()
    var text = usageText + "\n"
    for group in SettingGroup.allCases where group != .deprecated {
        text += "\n\(group.rawValue):\n"
        for setting in table.settings where setting.group == group && !setting.isFileOnly {
            text += flagHelp(setting, untouched)
        }
    }
    text += "\n\(SettingGroup.deprecated.rawValue) (still read, with a warning):\n"
    for setting in table.settings where setting.group == .deprecated {
        text += "  --\(setting.name)\n    \(setting.help)\n"
    }
    return text
}

/// The short text after a command line that cannot be read.
public let usageText = """
    Usage:

      quorate member [flags]     run a member of a cluster (also when started under the name etcd)
      quorate member --version   print the version
      quorate member --help      print this text

      Flags are written -name value, --name value or --name=value. Every flag --a-b can also be given as the environment variable
      ETCD_A_B (Quorate's own flags: QUORATE_A_B), but not both at once. With --config-file everything else is ignored.
    """

func flagHelp<Root>(_ setting: SettingOf<Root>, _ untouched: Root) -> String {
    let value = setting.defaultText ?? setting.target.read(untouched)
    var help = setting.help
    if !setting.releases.isEmpty, setting.releases != .all {
        help += " (etcd \(setting.releases.names.joined(separator: ", ")))"
    }
    switch setting.effect {
    case .notSupportedYet(let message): help += " Not available: \(message)."
    case .acceptedWithoutEffect(let reason): help += " Without effect: \(reason)."
    case .supported, .deprecatedAlias, .ignoredByEtcd, .removed: break
    }
    return "  --\(setting.name) '\(value)'\n    \(help)\n"
}
