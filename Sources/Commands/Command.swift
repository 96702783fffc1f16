/// The operator's commands beside the two halves.
public enum Command {
    /// Runs a command by name; nil when there is none of that name.
    public static func run(_ name: String, _ arguments: [String]) -> Int32? {
        switch name {
        case "pagefile": PageFileCommand.run(arguments)
        default: nil
        }
    }
}
