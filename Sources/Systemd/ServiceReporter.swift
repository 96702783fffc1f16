import Host

/// What a service tells systemd, and when: a value that takes events and the time and hands out messages. Both halves use it.
public struct ServiceReporter: Sendable {
    public enum Event: Equatable, Sendable {
        /// The start, or the stop, goes on: how far it is. This earns more time.
        case progress(String)
        /// It serves what it promises.
        case ready
        case reloading
        /// `problem`: why the new configuration is not in force.
        case reloaded(problem: String?)
        /// `longest`: what the stop may take; systemd waits that much at least.
        case stopping(String, longest: Instant.Span)
        case failed(ServiceFailure)
    }

    private enum Phase { case starting, running, reloading, stopping, over }

    /// What a message that buys time asks for: longer than the dullest step of a start or stop takes between two reports.
    static let extensionSpan = Instant.Span.seconds(60)
    /// Between two messages that only buy time.
    static let extensionInterval = Instant.Span.seconds(5)
    /// Between two status lines whose state differs.
    static let statusInterval = Instant.Span.seconds(1)
    /// Between two status lines that differ in activity only.
    static let activityInterval = Instant.Span.seconds(10)
    /// How often loops are asked where no watchdog is: for the status line alone.
    static let unwatchedInterval = Instant.Span.seconds(20)

    private let tellsWatchdog: Bool
    private var watch: LoopWatch
    private var phase = Phase.starting
    private var said = StatusLine(state: "")
    private var saidAt: Instant?
    private var progress: String?
    private var extendedAt: Instant?

    /// - Parameter watchdog: systemd's WATCHDOG_USEC, when there is one.
    public init(watchdog: Instant.Span?) {
        tellsWatchdog = watchdog != nil
        watch = LoopWatch(watchdog: watchdog ?? Self.unwatchedInterval)
    }

    /// - Parameter status: how the service does now, where it can tell already.
    public mutating func handle(_ event: Event, status: StatusLine?, _ now: Instant) -> [NotifyMessage] {
        switch (event, phase) {
        case (_, .over): return []
        case (.failed(let failure), _):
            phase = .over
            return [failure.message]
        case (.stopping, .stopping): return []
        case (.stopping(let text, let longest), _):
            phase = .stopping
            progress = nil
            extendedAt = now
            let microseconds = UInt64(max(0, longest.nanoseconds) / 1_000)
            return [NotifyMessage(.stopping, .status(text), .extendTimeout(microseconds: microseconds))]
        case (.progress(let text), .starting), (.progress(let text), .stopping):
            progress = text
            return moreTime(now)
        case (.ready, .starting):
            phase = .running
            return [NotifyMessage(.ready, .status(say(status, now)))]
        case (.reloading, .running):
            phase = .reloading
            return [NotifyMessage(.reloading, .monotonic(microseconds: now.nanoseconds / 1_000), .status("reloading"))]
        case (.reloaded(let problem), .reloading):
            phase = .running
            guard let problem else { return [NotifyMessage(.ready, .status(say(status, now)))] }
            let line = StatusLine(state: "reload failed, the old configuration stays: " + problem)
            return [NotifyMessage(.ready, .status(say(line, now)))]
        case (.progress, _), (.ready, _), (.reloading, _), (.reloaded, _): return []
        }
    }

    /// To be called at ``nextWake(_:)``.
    /// - Parameters:
    ///   - status: how the service does now, where it can tell already.
    ///   - answers: the newest question that each loop has answered.
    ///   - names: of the loops, in the same order.
    /// - Returns: messages, and a question to ask of every loop.
    public mutating func wake(
        _ now: Instant, status: StatusLine?, answers: [UInt64], names: [String]
    ) -> (messages: [NotifyMessage], question: UInt64?) {
        guard phase != .over, phase != .stopping else { return (moreTime(now), nil) }
        guard var status else { return (moreTime(now), nil) }
        let question = watch.look(at: answers, now)
        let stalled = watch.stalled.map { names[$0] }
        if phase == .starting {
            // It runs, and waits for something outside, such as the other members: no reason to be given up as long as it runs.
            if stalled.isEmpty { progress = status.text }
            return (moreTime(now), question)
        }
        var messages: [NotifyMessage] = []
        if question != nil, tellsWatchdog { messages.append(NotifyMessage(.watchdog)) }
        if !stalled.isEmpty { status.state = "not responding: \(stalled.joined(separator: ", ")); " + status.state }
        if isWorthSaying(status, now) { messages.append(NotifyMessage(.status(say(status, now)))) }
        return (messages, question)
    }

    public func nextWake(_ now: Instant) -> Instant { min(now + Self.statusInterval, watch.nextLook(now)) }

    /// Buys time while something moves; nothing where nothing has moved since the last time.
    private mutating func moreTime(_ now: Instant) -> [NotifyMessage] {
        guard let text = progress else { return [] }
        if let extendedAt, now < extendedAt + Self.extensionInterval { return [] }
        extendedAt = now
        progress = nil
        let microseconds = UInt64(Self.extensionSpan.nanoseconds / 1_000)
        return [NotifyMessage(.extendTimeout(microseconds: microseconds), .status(text))]
    }

    private func isWorthSaying(_ line: StatusLine, _ now: Instant) -> Bool {
        guard line != said, let saidAt else { return line != said }
        return now >= saidAt + (line.state == said.state ? Self.activityInterval : Self.statusInterval)
    }

    private mutating func say(_ line: StatusLine?, _ now: Instant) -> String {
        saidAt = now
        said = line ?? StatusLine(state: "running")
        return said.text
    }
}
