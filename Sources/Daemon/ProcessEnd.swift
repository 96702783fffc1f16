import LinuxHost
import Synchronization

/// How a daemon's process ends: the first who has a reason decides the exit code, and the main thread waits for it.
public final class ProcessEnd: Sendable {
    private let code = Mutex<Int32?>(nil)
    private let signal = WakeSignal()

    public init() {}

    /// Without effect when the end is decided already.
    public func finish(with code: Int32) {
        self.code.withLock { if $0 == nil { $0 = code } }
        signal.wake()
    }

    /// Blocks until the end is decided. Returns the exit code.
    public func wait() -> Int32 {
        while true {
            if let code = code.withLock({ $0 }) { return code }
            signal.wait(nil)
        }
    }
}
