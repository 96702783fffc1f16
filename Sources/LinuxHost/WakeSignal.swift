import CLinux
import Glibc
import Host

/// Lets one thread sleep until another wakes it or a time has come. An eventfd: waking costs a system call, so the waker looks first
/// whether anybody sleeps.
public final class WakeSignal: Sendable {
    private let descriptor: Int32

    public init() {
        descriptor = clinux_eventfd()
        precondition(descriptor >= 0, "the system refuses an eventfd")
    }

    deinit { close(descriptor) }

    public func wake() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    /// Sleeps for `span` at most, or until woken; without a span only a wake ends it.
    public func wait(_ span: Instant.Span?) {
        if let span {
            let nanoseconds = max(0, span.nanoseconds)
            var time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
            _ = clinux_wait_readable(descriptor, &time)
        } else {
            _ = clinux_wait_readable(descriptor, nil)
        }
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
    }
}
