import Glibc

/// One output of the log: a bounded queue of lines and a thread that writes them.
///
/// A caller never waits for the output: it copies its line into the queue and goes on. When an output blocks (a full pipe, a
/// stuck disk) the queue fills up to `capacity` bytes; further lines are dropped and counted, and when the output moves again a
/// line says how many. Nothing else of the process is held up, and memory stays bounded.
final class LogOutput: @unchecked Sendable {
    // Unchecked: `queue`, `queuedBytes`, `dropped`, `isWriting` and `isClosed` are touched only while `mutex` is held. The mutex
    // and the condition live in memory of their own, initialised once and never moved or freed: an output lasts as long as the
    // process, because its thread holds it.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var queue: [(line: [UInt8], level: LogLevel)] = []
    private var queuedBytes = 0
    private var dropped: UInt64 = 0
    private var isWriting = false
    private var isClosed = false

    /// It takes records of fields, not lines of text.
    let isJournal: Bool
    private let destination: any LogDestination
    private let capacity: Int
    /// The line that tells how many were dropped.
    private let droppedLine: @Sendable (UInt64) -> [UInt8]

    init(
        _ destination: any LogDestination, isJournal: Bool = false, capacity: Int,
        droppedLine: @escaping @Sendable (UInt64) -> [UInt8]
    )
        throws(LogProblem)
    {
        self.destination = destination
        self.isJournal = isJournal
        self.capacity = capacity
        self.droppedLine = droppedLine
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
        try startThread()
    }

    private func startThread() throws(LogProblem) {
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        // Enough for the deepest path, which is rotating a file; the default of 8 MiB would be address space for nothing.
        pthread_attr_setstacksize(&attributes, 256 << 10)
        // The thread takes over one reference to this object and gives it back when it ends.
        let reference = Unmanaged.passRetained(self)
        let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
            if let argument { Unmanaged<LogOutput>.fromOpaque(argument).takeRetainedValue().run() }
            return nil
        }
        let code = pthread_create(&thread, &attributes, body, reference.toOpaque())
        guard code == 0 else {
            reference.release()
            throw LogProblem(description: "cannot start the log's thread: \(String(cString: strerror(code)))")
        }
        pthread_detach(thread)
    }

    /// Takes a line over, or drops it when there is no room.
    func enqueue(_ line: [UInt8], _ level: LogLevel) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !isClosed, queuedBytes + line.count <= capacity else {
            dropped += 1
            return
        }
        // The thread takes all lines at once and sleeps only when there are none, so only the first one has to wake it.
        let mustWake = queue.isEmpty && !isWriting
        queue.append((line, level))
        queuedBytes += line.count
        if mustWake { pthread_cond_broadcast(condition) }
    }

    /// Lines that were dropped and not reported yet.
    var droppedLines: UInt64 {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return dropped
    }

    /// Waits until everything queued is written, at most so long. Returns whether it is.
    func flush(within limit: Duration) -> Bool {
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        let nanoseconds = deadline.tv_nsec + Int(limit.components.attoseconds / 1_000_000_000)
        deadline.tv_sec += Int(limit.components.seconds) + nanoseconds / 1_000_000_000
        deadline.tv_nsec = nanoseconds % 1_000_000_000
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !queue.isEmpty || isWriting {
            if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { return queue.isEmpty && !isWriting }
        }
        return true
    }

    /// Lets the thread end once everything queued is written.
    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    private func run() {
        // Signals are the main program's business. This one's SIGPIPE, from a reader that went away, then is an error of `write`.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        while let batch = nextBatch() {
            var lost: UInt64 = 0
            for (line, level) in batch where !destination.write(line, level: level) { lost += 1 }
            pthread_mutex_lock(mutex)
            dropped += lost
            isWriting = false
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
    }

    /// Everything queued, with a line about dropped ones after it; nil when the output is closed and empty.
    private func nextBatch() -> [(line: [UInt8], level: LogLevel)]? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while queue.isEmpty, !isClosed { pthread_cond_wait(condition, mutex) }
        guard !queue.isEmpty else { return nil }
        var batch = queue
        queue.removeAll(keepingCapacity: batch.count < 256)
        queuedBytes = 0
        if dropped > 0 {
            batch.append((droppedLine(dropped), .warn))
            dropped = 0
        }
        isWriting = true
        return batch
    }
}
