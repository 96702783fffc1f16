import CLinux
import Glibc

/// What the kernel counts for the calling thread, and what the processor likes to know of it.
public enum ThreadUsage {
    /// RUSAGE_THREAD, which Swift's Glibc module leaves out.
    private static let thread: Int32 = 1

    /// How often it has had to leave its core to another thread though it could have gone on.
    public static var coreLosses: Int {
        var usage = rusage()
        return getrusage(thread, &usage) == 0 ? usage.ru_nivcsw : 0
    }

    /// To be called in a loop that waits for another thread's store.
    public static func spinHint() { clinux_spin_hint() }
}
