import Host
import LinuxHost
import Synchronization

/// Tells systemd what a ``ServiceReporter`` decides, on a thread of its own, so that nobody else ever waits for systemd. Where
/// `NOTIFY_SOCKET` is unset there is no thread, and nothing is said.
public final class ServiceNotifier: Sendable {
    private struct Shared {
        var events: [ServiceReporter.Event] = []
        var loops: [WatchedLoop] = []
        var status: (@Sendable () -> StatusLine)?
        var isEnding = false
    }

    /// Progress may be told more often than it can be sent: of events that wait, no more than this many are kept.
    private static let queueLimit = 256

    private let shared = Mutex(Shared())
    private let signal = WakeSignal()
    private let thread: Mutex<DaemonThread?>

    public init() {
        thread = Mutex(nil)
        guard NotifySocket.isPresent else { return }
        thread.withLock { $0 = DaemonThread.start("systemd") { [self] in run() } }
    }

    /// From any thread; the events are told in this order.
    public func post(_ event: ServiceReporter.Event) {
        guard isActive else { return }
        let isTaken = shared.withLock { state in
            if case .progress = event, state.events.count >= Self.queueLimit { return false }
            state.events.append(event)
            return true
        }
        if isTaken { signal.wake() }
    }

    /// The service's threads run: from now on its loops are watched and its status is told.
    public func observe(_ loops: [WatchedLoop], status: @escaping @Sendable () -> StatusLine) {
        guard isActive else { return }
        shared.withLock { state in
            state.loops = loops
            state.status = status
        }
        signal.wake()
    }

    /// The service's threads are about to end.
    public func stopObserving() {
        shared.withLock { state in
            state.loops = []
            state.status = nil
        }
    }

    /// Returns when everything posted before has been said.
    public func finish() {
        shared.withLock { $0.isEnding = true }
        signal.wake()
        thread.withLock { $0.take() }?.join()
    }

    private var isActive: Bool { thread.withLock { $0 != nil } }

    // MARK: the thread

    private func run() {
        var reporter = ServiceReporter(watchdog: NotifySocket.watchdog)
        while true {
            let state = shared.withLock { state in
                defer { state.events = [] }
                return state
            }
            for event in state.events {
                for message in reporter.handle(event, status: state.status?(), SystemClock.now()) { NotifySocket.send(message) }
            }
            if state.isEnding { return }
            let now = SystemClock.now()
            let (messages, question) = reporter.wake(
                now, status: state.status?(), answers: state.loops.map(\.pulse.answer), names: state.loops.map(\.pulse.name))
            for message in messages { NotifySocket.send(message) }
            if let question {
                for loop in state.loops {
                    loop.pulse.ask(question)
                    loop.nudge()
                }
            }
            signal.wait(reporter.nextWake(SystemClock.now()) - SystemClock.now())
        }
    }
}
