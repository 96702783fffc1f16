import CSystemd
import Glibc
import Host

/// The way to systemd's notification socket, through libsystemd.
public enum NotifySocket {
    /// Whether anybody listens: `NOTIFY_SOCKET` is set.
    public static var isPresent: Bool { getenv("NOTIFY_SOCKET") != nil }

    /// Sends a message; without a listener nothing happens. That a message is lost has no consequence here: systemd then acts on
    /// its time-outs, which is what they are for.
    public static func send(_ message: NotifyMessage) { _ = sd_notify(0, message.text) }

    /// How often systemd wants to hear `WATCHDOG=1` from this process at least; nil when it does not watch it.
    public static var watchdog: Instant.Span? {
        var microseconds: UInt64 = 0
        guard sd_watchdog_enabled(0, &microseconds) > 0, microseconds <= UInt64(Int64.max) / 1_000 else { return nil }
        return Instant.Span(nanoseconds: Int64(microseconds) * 1_000)
    }
}
