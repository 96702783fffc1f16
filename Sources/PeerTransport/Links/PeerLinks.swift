import Host
import Raft

/// The earlier of two times, either of which may be missing.
func earlier(_ a: Instant?, _ b: Instant?) -> Instant? {
    guard let a, let b else { return a ?? b }
    return min(a, b)
}

/// All connections with one peer, as a value: which streams are up, the way each message takes, when to dial again, and what raft
/// is told. It has no socket and no clock: the shell tells it what happened and obeys its effects.
///
/// A peer that is a member has two streams to write to, which it opens, two to read from, which are dialed, and requests of their
/// own for messages while there is no stream (the "pipeline"). A remote, a member that is not known from the log yet, has only
/// the last.
public struct PeerLinks: Sendable {
    public let id: MemberID
    public let isMember: Bool
    let limits: LinkLimits
    var picker: URLPicker
    /// By ``StreamKind``.
    var writers: [StreamWriter]
    var readers: [StreamReader]
    var pipeline: MessageQueue
    var posts: [(number: UInt64, url: PeerURL)] = []
    private var lastNumber: UInt64 = 0
    /// Since when messages get through; nil while they do not.
    public private(set) var activeSince: Instant?

    public init(id: MemberID, urls: [PeerURL], isMember: Bool = true, limits: LinkLimits = LinkLimits(), now: Instant) {
        self.id = id
        self.isMember = isMember
        self.limits = limits
        picker = URLPicker(urls)
        let queue = MessageQueue(maximumCount: limits.streamQueue, maximumBytes: limits.streamQueueBytes)
        writers = StreamKind.allCases.map { _ in StreamWriter(queue: queue) }
        let state = isMember ? StreamReader.State.waiting(until: now, since: nil) : .stopped
        readers = StreamKind.allCases.map { _ in StreamReader(state: state) }
        pipeline = MessageQueue(maximumCount: limits.pipelineQueue)
    }

    mutating func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    // MARK: Time

    /// When ``advance(to:_:)`` has something to do.
    public var nextWake: Instant? {
        var wake: Instant?
        for writer in writers { wake = earlier(wake, writer.nextWake(limits)) }
        for reader in readers { wake = earlier(wake, reader.nextWake(limits)) }
        return wake
    }

    /// Dials, heartbeats and patience that are due.
    public mutating func advance(to now: Instant, _ effects: inout [LinkEffect]) {
        for kind in StreamKind.allCases {
            advanceWriter(kind, to: now, &effects)
            advanceReader(kind, to: now, &effects)
        }
    }

    // MARK: Membership

    /// The peer listens elsewhere from now on. Streams that are up stay.
    public mutating func update(urls: [PeerURL], now: Instant) {
        guard urls != picker.urls else { return }
        picker = URLPicker(urls)
        redialSoon(now: now)
    }

    /// The peer is no longer one: everything is closed, nothing is reported.
    public mutating func stop(_ effects: inout [LinkEffect]) {
        for kind in StreamKind.allCases {
            if let attached = writers[kind.rawValue].attached { effects.append(.closeWriter(kind, stream: attached.stream)) }
            writers[kind.rawValue].attached = nil
            writers[kind.rawValue].queue.removeAll()
            switch readers[kind.rawValue].state {
            case .dialing, .reading: effects.append(.hangUp(kind, attempt: readers[kind.rawValue].attempt))
            case .waiting, .stopped: break
            }
            readers[kind.rawValue].state = .stopped
        }
        pipeline.removeAll()
        posts.removeAll()
        if activeSince != nil { effects.append(.becameInactive(reason: "the peer is no longer a member")) }
        activeSince = nil
    }

    // MARK: Activity

    mutating func activate(now: Instant, _ effects: inout [LinkEffect]) {
        guard activeSince == nil else { return }
        activeSince = now
        effects.append(.becameActive)
    }

    /// One of the links failed. The peer is inactive when no stream is up any more.
    mutating func deactivate(_ reason: @autoclosure () -> String, _ effects: inout [LinkEffect]) {
        guard activeSince != nil, !hasStream else { return }
        activeSince = nil
        effects.append(.becameInactive(reason: reason()))
    }

    private var hasStream: Bool { writers.contains { $0.attached != nil } || readers.contains(where: \.isReading) }

    /// A database was sent, or could not be.
    public mutating func snapshotPosted(to url: PeerURL, failure: PeerFailure?, now: Instant, _ effects: inout [LinkEffect]) {
        if let failure {
            noteFailure(failure, of: url, "failed to post snapshot", &effects)
            effects.append(.unreachable)
        } else {
            activate(now: now, &effects)
        }
    }

    /// Where the next request goes; nil when the peer has no address that can be understood.
    public var currentURL: PeerURL? { picker.current }

    mutating func noteFailure(_ failure: PeerFailure, of url: PeerURL, _ action: String, _ effects: inout [LinkEffect]) {
        picker.failed(url)
        deactivate("\(action): \(failure)", &effects)
        if failure == .removed { effects.append(.removedFromCluster) }
    }
}
