/// Which half of the program a command line starts.
public enum ProgramForm: Sendable, Equatable {
    /// A member, with the words that follow.
    case member([String])
    /// Another subcommand, with the words that follow.
    case other(String, [String])
    /// No subcommand: the usage text is wanted.
    case nothing

    /// - Parameter arguments: the whole command line, the program's name first. Under the name `etcd`, whatever directory it is
    ///   in,
    ///   everything is a member's flags, except etcd's own subcommands `gateway` and `grpc-proxy`.
    public static func of(_ arguments: [String]) -> ProgramForm {
        let program = arguments.first?.split(separator: "/").last ?? ""
        let rest = Array(arguments.dropFirst())
        if program == "etcd" {
            if let word = rest.first, word == "gateway" || word == "grpc-proxy" { return .other(word, Array(rest.dropFirst())) }
            return .member(rest)
        }
        guard let word = rest.first else { return .nothing }
        return word == "member" ? .member(Array(rest.dropFirst())) : .other(word, Array(rest.dropFirst()))
    }
}
