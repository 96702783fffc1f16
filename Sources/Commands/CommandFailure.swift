/// Why a command cannot do what it was asked for.
struct CommandFailure: Error, Equatable, CustomStringConvertible {
    let description: String
    /// 1 where the work failed, 128 where it was asked for wrongly, as etcd's tools have it.
    let exitCode: Int32

    init(_ description: String, exitCode: Int32 = 1) {
        self.description = description
        self.exitCode = exitCode
    }

    static func usage(_ text: String) -> CommandFailure { CommandFailure(text, exitCode: 128) }
}
