import Bytes
import Configuration
import LinuxHost
import Member

/// `quorate check DATA-DIR`: looks at a data directory before a first start, and changes nothing.
///
/// Exit status: 0 where `quorate member` would start and serve, 1 where it would not, 2 for wrong words, 75 where another process has
/// the directory open.
enum CheckCommand {
    static let inUse: Int32 = 75
    private static let usage = """
        usage: quorate check DATA-DIR [--wal-dir DIRECTORY] [--write-out text|json] [--compatibility-version auto|3.5|3.6|3.7]
        Says what a data directory of etcd or Quorate holds, which releases could open it, and whether `quorate member` with that
        --compatibility-version (auto unless given) would refuse it. Nothing is changed. The directory must not be in use.

        """

    static func run(_ arguments: [String]) -> Int32 {
        if arguments.contains(where: { $0 == "--help" || $0 == "-h" }) {
            print(usage, terminator: "")
            return 0
        }
        do throws(CommandFailure) {
            let words = try CommandWords(arguments, values: ["wal-dir", "write-out", "w", "compatibility-version"], switches: [])
            let layout = words.values["write-out"] ?? words.values["w"] ?? "text"
            guard words.others.count == 1, layout == "text" || layout == "json",
                let version = CompatibilityVersion(rawValue: words.values["compatibility-version"] ?? "auto")
            else { return fail(usage, 2) }
            let directory = DataDirectory(words.others[0], walPath: words.values["wal-dir"])
            let check = try DirectoryCheck(directory, on: LinuxDisk(), startedAs: version)
            let report = DirectoryReport(check)
            print(layout == "json" ? String(decoding: report.json.bytes(), as: UTF8.self) : report.text)
            return check.isInUse ? inUse : check.refusals.isEmpty ? 0 : 1
        } catch {
            return fail("Error: \(error)\n", error.exitCode == 128 ? 2 : error.exitCode)
        }
    }
}
