import Glibc

/// The operator's commands beside the two halves.
public enum Command {
    /// Everything that may follow `quorate`.
    static let names = [
        "member", "proxy", "status", "check", "adopt-etcd", "pagefile", "snapshot", "generate", "version", "help",
    ]

    /// Runs a command by name; nil when there is none of that name.
    public static func run(_ name: String, _ arguments: [String]) -> Int32? {
        switch name {
        case "pagefile": PageFileCommand.run(arguments)
        case "snapshot": SnapshotCommand.run(arguments)
        case "generate": GenerateCommand.run(arguments)
        case "check": CheckCommand.run(arguments)
        case "status": StatusCommand.run(arguments)
        case "adopt-etcd": AdoptEtcdCommand.run(arguments)
        default: nil
        }
    }
}

/// Says why a command cannot go on. Returns its exit code.
func fail(_ text: String, _ code: Int32) -> Int32 {
    var text = text
    text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
    return code
}
