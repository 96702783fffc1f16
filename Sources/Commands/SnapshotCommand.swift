import Configuration
import Glibc
import Host
import LinuxHost
import Member
import Membership
import Records

/// `quorate snapshot status FILE` and `quorate snapshot restore FILE`, with etcdutl's flags, words and exit codes.
enum SnapshotCommand {
    private static let usage = """
        usage: quorate snapshot status FILE [--write-out simple|fields|json|table]
               quorate snapshot restore FILE --data-dir DIRECTORY [--wal-dir DIRECTORY] [--name NAME]
                   [--initial-cluster NAME=URL,...] [--initial-cluster-token TOKEN] [--initial-advertise-peer-urls URL,...]
                   [--skip-hash-check] [--bump-revision COUNT --mark-compacted]

        """

    static func run(_ arguments: [String]) -> Int32 {
        do throws(CommandFailure) {
            switch arguments.first {
            case "status": try status(Array(arguments.dropFirst()))
            case "restore": try restore(Array(arguments.dropFirst()))
            default: return fail(usage, 2)
            }
            return 0
        } catch {
            return fail("Error: \(error)\n", error.exitCode)
        }
    }

    private static func status(_ arguments: [String]) throws(CommandFailure) {
        let words = try CommandWords(arguments, values: ["write-out", "w"], switches: [])
        guard words.others.count == 1 else { throw .usage("snapshot status requires exactly one argument") }
        let layout = words.values["write-out"] ?? words.values["w"] ?? "simple"
        guard SnapshotStatus().text(as: layout) != nil else { throw CommandFailure("unsupported output format", exitCode: 4) }
        print(try SnapshotStatus.read(words.others[0], on: LinuxDisk()).text(as: layout) ?? "")
    }

    private static func restore(_ arguments: [String]) throws(CommandFailure) {
        let words = try CommandWords(
            arguments,
            values: [
                "data-dir", "wal-dir", "name", "initial-cluster", "initial-cluster-token", "initial-advertise-peer-urls",
                "bump-revision", "initial-memory-map-size",
            ],
            switches: ["skip-hash-check", "mark-compacted"])
        guard let dataDirectory = words.values["data-dir"] else { throw CommandFailure("required flag(s) \"data-dir\" not set") }
        guard words.others.count == 1 else { throw .usage("snapshot restore requires exactly one argument") }
        var bump: Int64 = 0
        if let text = words.values["bump-revision"] {
            guard let count = Int64(text), count >= 0 else {
                throw .usage("invalid argument \"\(text)\" for \"--bump-revision\": a count of revisions is wanted")
            }
            bump = count
        }
        guard (bump > 0) == words.switches.contains("mark-compacted") else {
            throw .usage("--mark-compacted required if --revision-bump > 0")
        }
        let (configuration, founders) = try cluster(words, dataDirectory)
        let directory = DataDirectory(configuration.dataDirectory, walPath: words.values["wal-dir"])
        let restoration = SnapshotRestoration(
            disk: LinuxDisk(), source: words.others[0], directory: directory, founders: founders, name: configuration.name,
            skipsHashCheck: words.switches.contains("skip-hash-check"), revisionBump: bump)
        try restoration.run()
        print("restored \(words.others[0]) into \(directory.path)")
    }

    /// The flags are a member's own, so a member's configuration checks them.
    private static func cluster(
        _ words: CommandWords, _ dataDirectory: String
    ) throws(CommandFailure) -> (MemberConfiguration, founders: [MemberRecord]) {
        let name = words.values["name"] ?? "default"
        var flags = [
            "--name", name, "--data-dir", dataDirectory,
            "--initial-cluster", words.values["initial-cluster"] ?? "default=http://localhost:2380",
            "--initial-advertise-peer-urls", words.values["initial-advertise-peer-urls"] ?? "http://localhost:2380",
        ]
        if let token = words.values["initial-cluster-token"] { flags += ["--initial-cluster-token", token] }
        var inputs = ConfigurationInputs.system(arguments: flags)
        inputs.environment = [:]
        do throws(ConfigurationError) {
            guard
                case .run(let configuration, _) = try readMemberConfiguration(
                    inputs, version: BuildVersion(version: "", revision: ""))
            else { throw ConfigurationError(usage) }
            let named = try configuration.verifyBootstrap { _ in nil }
                .map { NamedMember(name: $0.name, peerURLs: $0.peerURLs.map(\.description)) }
            return (configuration, Bootstrap.founders(named, token: configuration.initialClusterToken))
        } catch {
            throw CommandFailure(error.message)
        }
    }
}

/// A command's words: flags anywhere among them, `--flag value` or `--flag=value`.
struct CommandWords: Equatable {
    private(set) var values: [String: String] = [:]
    private(set) var switches: Set<String> = []
    private(set) var others: [String] = []

    init(_ arguments: [String], values valued: Set<String>, switches known: Set<String>) throws(CommandFailure) {
        var rest = arguments[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word.utf8.count > 1 else {
                others.append(word)
                continue
            }
            let body = word.drop { $0 == "-" }
            let name = String(body.prefix { $0 != "=" })
            var value = name.count < body.count ? String(body.dropFirst(name.count + 1)) : nil
            if known.contains(name) {
                guard value == nil || value == "true" || value == "false" else {
                    throw .usage("invalid argument \"\(value ?? "")\" for \"--\(name)\": true or false is wanted")
                }
                if value != "false" { switches.insert(name) }
            } else if valued.contains(name) {
                if value == nil { value = rest.popFirst() }
                guard let value else { throw .usage("flag needs an argument: --\(name)") }
                values[name] = value
            } else {
                throw .usage("unknown flag: --\(name)")
            }
        }
    }
}
