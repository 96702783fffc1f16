import Configuration
import Glibc

/// `quorate generate completion SHELL` and `quorate generate manual HALF`: texts that are made from the tables of settings, for
/// whoever packages the program.
enum GenerateCommand {
    private static let usage = "usage: quorate generate completion bash|zsh|fish | manual member|proxy\n"

    static func run(_ arguments: [String]) -> Int32 {
        switch (arguments.first, arguments.dropFirst().first, arguments.count) {
        case ("completion", let name?, 2):
            guard let shell = CompletionShell(rawValue: name) else { break }
            print(completionText(for: shell, commands: Command.names), terminator: "")
            return 0
        case ("manual", "member", 2):
            print(memberFlagsManual(), terminator: "")
            return 0
        case ("manual", "proxy", 2):
            print(proxyFlagsManual(), terminator: "")
            return 0
        default: break
        }
        return fail(usage, 2)
    }
}
