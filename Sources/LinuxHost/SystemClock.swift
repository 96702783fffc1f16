import Glibc
import Host

/// The host's clocks.
public enum SystemClock {
    /// The monotonic clock: for timers, timeouts and lease expiry. It stands still while the host is suspended.
    public static func now() -> Instant { Instant(nanoseconds: nanoseconds(CLOCK_MONOTONIC)) }

    /// Nanoseconds since 1970, UTC: only for what people read, never for decisions.
    public static func wallNanoseconds() -> UInt64 { nanoseconds(CLOCK_REALTIME) }

    private static func nanoseconds(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        let answer = clock_gettime(clock, &time)
        precondition(answer == 0, "every Linux has these clocks")
        return UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
