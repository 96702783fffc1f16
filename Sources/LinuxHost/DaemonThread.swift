import CLinux
import Glibc

/// A thread of our own, for work that blocks. It runs until `body` returns; ``join()`` waits for that.
public struct DaemonThread: Sendable {
    private final class Body {
        let name: String
        let run: @Sendable () -> Void
        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    private let handle: pthread_t

    /// `name`: at most 15 bytes, as the kernel keeps it.
    public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) -> DaemonThread {
        let box = Unmanaged.passRetained(Body(name: name, run: body))
        var handle = pthread_t()
        let result = pthread_create(
            &handle, nil,
            { raw in
                let body = Unmanaged<Body>.fromOpaque(raw!).takeRetainedValue()
                clinux_name_thread(body.name)
                body.run()
                return nil
            }, box.toOpaque())
        precondition(result == 0, "the system refuses to start a thread: error \(result)")
        return DaemonThread(handle: handle)
    }

    public func join() { pthread_join(handle, nil) }
}
