import Glibc
import Testing

@testable import Raft

/// Runs the scripts beside this file. `RAFT_SCRIPTS_REWRITE=1` writes what happens into them as what is expected; read the
/// difference before believing it.
struct ScriptTests {
    @Test(arguments: try ScriptFile.all())
    func happensAsWritten(path: String) throws {
        let script = try ScriptFile(path: path)
        var runner = ScriptRunner()
        let actual = try script.rewritten { try runner.run($0) }
        if getenv("RAFT_SCRIPTS_REWRITE") != nil {
            try script.write(actual)
            return
        }
        let number =
            zip(script.lines, actual).enumerated().first { $1.0 != $1.1 }?.offset ?? min(script.lines.count, actual.count)
        #expect(
            actual == script.lines,
            """
            \(path):\(number + 1)
            expected: \(number < script.lines.count ? script.lines[number] : "the end")
            happened: \(number < actual.count ? actual[number] : "the end")
            """)
    }
}
