import CLinux
import Dispatch
import Glibc
import LinuxHost
import NIOCore
import Synchronization

/// An event loop whose sockets are bare descriptors. For the relay of bytes NIO's channels cost a quarter of the processor's time and 3 KiB
/// a connection; here a socket costs its entry in a table. Futures, timers and tasks are NIO's, so what lives on event loops can live on
/// this one.
///
/// Descriptors are watched for everything at once and by edges (EPOLLET): one `epoll_ctl` in their life, and none to rest or go on.
///
/// `@unchecked Sendable`: what other threads touch is a mutex, atomics and descriptors that live as long as the loop; everything below
/// "Of the loop's thread" is touched by that thread alone, which `assertInEventLoop` checks in debug builds.
public final class PollingEventLoop: EventLoop, @unchecked Sendable {
    private struct Posted {
        var tasks: [@Sendable () -> Void] = []
        var hasEnded = false
    }

    private let posted = Mutex(Posted())
    private let hasPosted = Atomic(false)
    private let thread = Atomic<UInt>(0)
    private let timerCount = Atomic<UInt64>(0)
    private let poll: Int32
    private let wake: Int32

    // MARK: Of the loop's thread

    /// By descriptor.
    private var sockets: [(any PolledSocket)?] = []
    private var goingOn: [any PolledSocket] = []
    /// Closed when the events at hand are done, so that none of them meets a new socket under an old number.
    private var closing: [Int32] = []
    private var timers = TimerList()
    private var isStopping = false
    private var whenStopped: [@Sendable () -> Void] = []

    private static let eventsAtOnce = 256

    /// Starts its thread.
    /// - Parameter name: of the thread, at most 15 bytes.
    public init(name: String) {
        poll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wake = clinux_eventfd()
        precondition(poll >= 0 && wake >= 0, "the system refuses the descriptors of an event loop")
        // Never read: each write is an edge.
        watch(wake)
        _ = DaemonThread.start(name) { self.run() }
    }

    deinit {
        Glibc.close(poll)
        Glibc.close(wake)
    }

    // MARK: Sockets

    /// Tells `socket` from now on what happens at a descriptor that does not block. A descriptor that is watched already changes owner.
    public func watch(_ descriptor: Int32, for socket: any PolledSocket) {
        assertInEventLoop()
        let index = Int(descriptor)
        while sockets.count <= index { sockets.append(nil) }
        if sockets[index] == nil { watch(descriptor) }
        sockets[index] = socket
    }

    private func watch(_ descriptor: Int32) {
        var event = epoll_event()
        event.events = Readiness.everything.rawValue
        event.data.fd = descriptor
        let result = epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event)
        precondition(result == 0, "a descriptor cannot be watched: error \(errno)")
    }

    /// Forgets the descriptor and closes it soon.
    public func close(_ descriptor: Int32) {
        assertInEventLoop()
        sockets[Int(descriptor)] = nil
        closing.append(descriptor)
    }

    /// Calls ``PolledSocket/goOn()`` after the others had their turn.
    public func goOnLater(_ socket: any PolledSocket) {
        assertInEventLoop()
        goingOn.append(socket)
    }

    // MARK: Running

    private func run() {
        thread.store(UInt(pthread_self()), ordering: .releasing)
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: Self.eventsAtOnce)
        defer { events.deallocate() }
        while true {
            runPosted()
            runTimers()
            goOn()
            closeSockets()
            if isStopping, !hasPosted.load(ordering: .acquiring) { break }
            let count = epoll_wait(poll, events, Int32(Self.eventsAtOnce), sleep)
            for index in 0..<Int(max(0, count)) {
                let descriptor = Int(events[index].data.fd)
                // The signal to wake has no socket; a socket that was closed by an event before this one has none any more.
                guard descriptor < sockets.count, let socket = sockets[descriptor] else { continue }
                socket.ready(Readiness(rawValue: events[index].events))
            }
        }
        end()
    }

    /// Milliseconds; rounded up, for a timer that is due a little later would find nothing to do.
    private var sleep: Int32 {
        if !goingOn.isEmpty || !closing.isEmpty || hasPosted.load(ordering: .acquiring) { return 0 }
        guard let next = timers.next else { return -1 }
        let span = (next - .now()).nanoseconds
        return span <= 0 ? 0 : Int32(clamping: (span + 999_999) / 1_000_000)
    }

    private func runPosted() {
        guard hasPosted.exchange(false, ordering: .acquiringAndReleasing) else { return }
        let tasks = posted.withLock { posted in
            defer { posted.tasks = [] }
            return posted.tasks
        }
        for task in tasks { task() }
    }

    /// Those that were due when this began: one that starts itself again at once waits for its turn.
    private func runTimers() {
        guard timers.next != nil else { return }
        let now = NIODeadline.now()
        while let timer = timers.takeDue(now) { timer.end(true) }
    }

    private func goOn() {
        guard !goingOn.isEmpty else { return }
        let sockets = goingOn
        goingOn = []
        for socket in sockets { socket.goOn() }
    }

    private func closeSockets() {
        for descriptor in closing { Glibc.close(descriptor) }
        closing.removeAll(keepingCapacity: true)
    }

    private func end() {
        for (descriptor, socket) in sockets.enumerated() where socket != nil { closing.append(Int32(descriptor)) }
        sockets = []
        closeSockets()
        for timer in timers.takeAll() { timer.end(false) }
        let left = posted.withLock { posted in
            posted.hasEnded = true
            defer { posted.tasks = [] }
            return posted.tasks
        }
        for task in left { task() }
        for told in whenStopped { told() }
    }

    // MARK: EventLoop

    public var inEventLoop: Bool { thread.load(ordering: .acquiring) == UInt(pthread_self()) }

    /// Tasks for a loop that has ended are dropped.
    public func execute(_ task: @escaping @Sendable () -> Void) {
        let isAccepted = posted.withLock { posted in
            if !posted.hasEnded { posted.tasks.append(task) }
            return !posted.hasEnded
        }
        guard isAccepted, !hasPosted.exchange(true, ordering: .acquiringAndReleasing), !inEventLoop else { return }
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
    }

    public func submit<T>(_ task: @escaping @Sendable () throws -> T) -> EventLoopFuture<T> {
        let promise = makePromise(of: T.self)
        execute { promise.assumeIsolated().completeWith(Result { try task() }) }
        return promise.futureResult
    }

    public func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        let key = TimerList.Key(
            deadline: deadline, number: timerCount.add(1, ordering: .relaxed).newValue)
        onLoop {
            self.timers.insert(
                TimerList.Entry(key: key) { isDue in
                    guard isDue else { return promise.fail(EventLoopError.shutdown) }
                    promise.assumeIsolated().completeWith(Result { try task() })
                })
        }
        return Scheduled(promise: promise) { self.onLoop { self.timers.remove(key) } }
    }

    public func scheduleTask<T>(in span: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: .now() + span, task)
    }

    private func onLoop(_ work: @escaping @Sendable () -> Void) {
        if inEventLoop { work() } else { execute(work) }
    }

    public func shutdownGracefully(queue: DispatchQueue, _ callback: @Sendable @escaping ((any Error)?) -> Void) {
        let hasEnded = posted.withLock { $0.hasEnded }
        if hasEnded { return queue.async { callback(nil) } }
        execute {
            self.isStopping = true
            self.whenStopped.append { queue.async { callback(nil) } }
        }
    }
}
