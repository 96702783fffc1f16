import Glibc

/// Faults for tests of the process as a whole, asked for by environment variables that no operator sets.
///
/// - `QUORATE_TEST_STALL=member|page-file|loop`: that thread (of event loops the first) stops for good at the first SIGHUP.
/// - `QUORATE_TEST_SLOW_REPLAY=SECONDS`: reading the write-ahead log takes so much longer, telling progress all the while.
enum TestHooks {
    enum Stall: String { case member, pageFile = "page-file", loop }

    static let stall = text("QUORATE_TEST_STALL").flatMap { Stall(rawValue: $0) }
    static let slowReplaySeconds = text("QUORATE_TEST_SLOW_REPLAY").flatMap { Int($0) } ?? 0

    static func stallForever() -> Never {
        while true { sleep(1_000) }
    }

    /// `tell`: how many of so many parts are done.
    static func replaySlowly(_ tell: (Int, Int) -> Void) {
        let parts = slowReplaySeconds * 4
        for part in 0..<parts {
            tell(part, parts)
            usleep(250_000)
        }
    }

    private static func text(_ variable: String) -> String? { getenv(variable).map { String(cString: $0) } }
}
