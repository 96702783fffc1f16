/// Shells whose completions can be made.
public enum CompletionShell: String, CaseIterable, Sendable { case bash, zsh, fish }

/// A shell's completion of the command line: subcommands, and the flags of both halves with their help.
public func completionText(for shell: CompletionShell, commands: [String]) -> String {
    let halves: [(name: String, flags: [CompletedFlag])] = [
        ("member", SettingsTable().flagsByName.filter(\.isOffered).map { CompletedFlag($0) }),
        ("proxy", SettingsTableOf(ProxySettings.rows).flagsByName.filter(\.isOffered).map { CompletedFlag($0) }),
    ]
    switch shell {
    case .bash: return bashCompletion(halves, commands)
    case .zsh: return zshCompletion(halves, commands)
    case .fish: return fishCompletion(halves, commands)
    }
}

private struct CompletedFlag {
    let name: String
    let help: String
    let words: [String]

    init<Root>(_ setting: SettingOf<Root>) {
        name = setting.name
        help = String(setting.help.prefix { $0 != "." && $0 != ";" }.filter { !"'[]:\"$`\\".contains($0) })
        let allowed = setting.target.allowed
        words =
            allowed.hasPrefix("one of ")
            ? allowed.dropFirst(7).split(separator: ",").map { String($0.filter { !" \"".contains($0) }) } : []
    }
}

extension SettingOf {
    /// Older names work and are not recommended.
    fileprivate var isOffered: Bool {
        guard group != .deprecated else { return false }
        switch effect {
        case .supported, .acceptedWithoutEffect: return true
        case .notSupportedYet, .removed, .deprecatedAlias, .ignoredByEtcd: return false
        }
    }
}

private func bashCompletion(_ halves: [(name: String, flags: [CompletedFlag])], _ commands: [String]) -> String {
    var text = """
        # bash completion of quorate
        _quorate() {
            local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" flags=""
            COMPREPLY=()
            if [ "$COMP_CWORD" -eq 1 ]; then
                COMPREPLY=($(compgen -W "\(commands.joined(separator: " "))" -- "$word"))
                return
            fi
            case "${COMP_WORDS[1]}:$before" in

        """
    for half in halves {
        for flag in half.flags where !flag.words.isEmpty {
            text +=
                "    \(half.name):--\(flag.name)) COMPREPLY=($(compgen -W \"\(flag.words.joined(separator: " "))\" -- \"$word\")); return ;;\n"
        }
    }
    text += "    esac\n    case \"${COMP_WORDS[1]}\" in\n"
    for half in halves {
        text += "    \(half.name)) flags=\"\(half.flags.map { "--" + $0.name }.joined(separator: " "))\" ;;\n"
    }
    return text + """
            esac
            case "$word" in
            -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
            *) COMPREPLY=($(compgen -f -- "$word")) ;;
            esac
        }
        complete -o filenames -F _quorate quorate

        """
}

private func zshCompletion(_ halves: [(name: String, flags: [CompletedFlag])], _ commands: [String]) -> String {
    var text = "#compdef quorate\n\nif (( CURRENT == 2 )); then\n    compadd \(commands.joined(separator: " "))\n    return\nfi\n"
    text += "local half=$words[2]\nshift words\n(( CURRENT-- ))\ncase $half in\n"
    for half in halves {
        text += "\(half.name))\n    _arguments \\\n"
        for flag in half.flags {
            let words = flag.words.isEmpty ? "_files" : "(\(flag.words.joined(separator: " ")))"
            text += "        '--\(flag.name)[\(flag.help)]:value:\(words)' \\\n"
        }
        text += "        '*:file:_files'\n    ;;\n"
    }
    return text + "*) _files ;;\nesac\n"
}

private func fishCompletion(_ halves: [(name: String, flags: [CompletedFlag])], _ commands: [String]) -> String {
    var text = "# fish completion of quorate\n"
    for command in commands { text += "complete -c quorate -n __fish_use_subcommand -f -a \(command)\n" }
    for half in halves {
        for flag in half.flags {
            let words = flag.words.isEmpty ? "" : " -f -a '\(flag.words.joined(separator: " "))'"
            text +=
                "complete -c quorate -n '__fish_seen_subcommand_from \(half.name)' -l \(flag.name) -r\(words) -d '\(flag.help)'\n"
        }
    }
    return text
}
