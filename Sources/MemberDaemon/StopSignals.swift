import Glibc

/// Turns SIGTERM and SIGINT into a call on an ordinary thread. The signals are blocked everywhere and waited for by one thread, so
/// nothing ever runs inside a signal handler.
public enum StopSignals {
    /// Call before other threads are started, so that they inherit the blocked signals.
    public static func block() {
        var set = signals
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    static func install(_ body: @escaping @Sendable () -> Void) {
        _ = DaemonThread.start("signals") {
            var set = signals
            var number: Int32 = 0
            while sigwait(&set, &number) == 0 { body() }
        }
    }

    private static var signals: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGINT)
        return set
    }
}
