import Host
import Raft

/// A stream that the peer has opened and the local member writes to.
struct StreamWriter: Sendable {
    struct Attached: Sendable {
        var stream: UInt64
        /// Since when it takes nothing more.
        var blockedSince: Instant?
        var lastWrite: Instant
    }

    var attached: Attached?
    var queue: MessageQueue

    /// When something is due: a heartbeat, or the end of the patience with a stream that takes nothing.
    func nextWake(_ limits: LinkLimits) -> Instant? {
        guard let attached else { return nil }
        if let since = attached.blockedSince { return since + limits.writeTimeout }
        return attached.lastWrite + limits.linkHeartbeat
    }
}

/// A stream that the local member opens and reads from.
struct StreamReader: Sendable {
    enum State: Equatable, Sendable {
        /// Until it is time to dial; `since` is when the last attempt began.
        case waiting(until: Instant, since: Instant?)
        case dialing(since: Instant, url: PeerURL)
        case reading(lastRead: Instant)
        case stopped
    }

    var state: State
    var attempt: UInt64 = 0
    var failures = 0

    var isReading: Bool {
        if case .reading = state { true } else { false }
    }

    func nextWake(_ limits: LinkLimits) -> Instant? {
        switch state {
        case .waiting(let until, _): until
        case .dialing(let since, _): since + limits.dialTimeout
        case .reading(let lastRead): lastRead + limits.readTimeout
        case .stopped: nil
        }
    }

    /// When to dial again after an attempt or a stream that began at `since`.
    mutating func wait(from now: Instant, since: Instant?, _ limits: LinkLimits) {
        let factor = Int64(1) << min(max(failures - 1, 0), 20)
        let delay = min(limits.redial.nanoseconds * factor, limits.slowestRedial.nanoseconds)
        state = .waiting(until: now + Instant.Span(nanoseconds: delay), since: since)
    }
}
