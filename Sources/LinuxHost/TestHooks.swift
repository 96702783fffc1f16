import Glibc

/// Faults for tests of the process as a whole, asked for by environment variables that no operator sets.
///
/// - `QUORATE_TEST_STALL=member|page-file|loop|health`: that thread (of event loops the first; `health` is the proxy's, the first
///   two are the member's) stops for good at the first SIGHUP.
/// - `QUORATE_TEST_SLOW_REPLAY=SECONDS`: reading the write-ahead log takes so much longer, telling progress all the while.
public enum TestHooks {
    public enum Stall: String, Sendable { case member, pageFile = "page-file", loop, health }

    public static let stall = text("QUORATE_TEST_STALL").flatMap { Stall(rawValue: $0) }
    static let slowReplaySeconds = text("QUORATE_TEST_SLOW_REPLAY").flatMap { Int($0) } ?? 0

    public static func stallForever() -> Never {
        while true { sleep(1_000) }
    }

    /// `tell`: how many of so many parts are done.
    public static func replaySlowly(_ tell: (Int, Int) -> Void) {
        let parts = slowReplaySeconds * 4
        for part in 0..<parts {
            tell(part, parts)
            usleep(250_000)
        }
    }

    private static func text(_ variable: String) -> String? { getenv(variable).map { String(cString: $0) } }
}
