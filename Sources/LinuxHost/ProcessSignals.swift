import Glibc

/// Turns SIGTERM, SIGINT and SIGHUP into calls on an ordinary thread. The signals are blocked everywhere and waited for by one
/// thread, so nothing ever runs inside a signal handler.
public enum ProcessSignals {
    public enum Wish: Sendable { case stop, reload }

    /// Call before other threads are started, so that they inherit the blocked signals.
    public static func block() {
        var set = signals
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// From now on `body` is called for each signal, one at a time.
    public static func install(_ body: @escaping @Sendable (Wish) -> Void) {
        _ = DaemonThread.start("signals") {
            var set = signals
            var number: Int32 = 0
            while sigwait(&set, &number) == 0 { body(number == SIGHUP ? .reload : .stop) }
        }
    }

    private static var signals: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGHUP)
        return set
    }
}
