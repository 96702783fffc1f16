import Host
import Raft

extension PeerLinks {
    mutating func advanceReader(_ kind: StreamKind, to now: Instant, _ effects: inout [LinkEffect]) {
        guard let due = readers[kind.rawValue].nextWake(limits), due <= now else { return }
        let attempt = readers[kind.rawValue].attempt
        switch readers[kind.rawValue].state {
        case .waiting: dial(kind, now: now, &effects)
        case .dialing:
            effects.append(.hangUp(kind, attempt: attempt))
            dialFailed(kind, attempt: attempt, .connection(LinkLimits.timedOut), now: now, &effects)
        case .reading:
            effects.append(.hangUp(kind, attempt: attempt, lost: LinkLimits.timedOut))
            readerLost(kind, attempt: attempt, failure: .connection(LinkLimits.timedOut), now: now, &effects)
        case .stopped: break
        }
    }

    private mutating func dial(_ kind: StreamKind, now: Instant, _ effects: inout [LinkEffect]) {
        guard let url = picker.current else {
            readers[kind.rawValue].state = .waiting(until: now + limits.slowestRedial, since: now)
            return
        }
        let attempt = nextNumber()
        readers[kind.rawValue].attempt = attempt
        readers[kind.rawValue].state = .dialing(since: now, url: url)
        effects.append(.dial(kind, attempt: attempt, url: url))
    }

    /// The peer has answered: messages follow.
    public mutating func dialed(_ kind: StreamKind, attempt: UInt64, now: Instant, _ effects: inout [LinkEffect]) {
        guard attempt == readers[kind.rawValue].attempt, case .dialing = readers[kind.rawValue].state else { return }
        readers[kind.rawValue].state = .reading(lastRead: now)
        readers[kind.rawValue].failures = 0
        activate(now: now, &effects)
    }

    public mutating func dialFailed(
        _ kind: StreamKind, attempt: UInt64, _ failure: PeerFailure, now: Instant, _ effects: inout [LinkEffect]
    ) {
        guard attempt == readers[kind.rawValue].attempt, case .dialing(let since, let url) = readers[kind.rawValue].state else {
            return
        }
        readers[kind.rawValue].failures += 1
        readers[kind.rawValue].wait(from: now, since: since, limits)
        noteFailure(failure, of: url, "failed to dial \(kind.title)", &effects)
    }

    /// Bytes have come on a dialed stream.
    public mutating func read(_ kind: StreamKind, attempt: UInt64, now: Instant) {
        guard attempt == readers[kind.rawValue].attempt, case .reading = readers[kind.rawValue].state else { return }
        readers[kind.rawValue].state = .reading(lastRead: now)
    }

    /// A dialed stream has ended.
    ///
    /// - Parameter failure: nil when the peer ended it in order, as it does when it gets a newer one or stops.
    public mutating func readerLost(
        _ kind: StreamKind, attempt: UInt64, failure: PeerFailure?, now: Instant, _ effects: inout [LinkEffect]
    ) {
        guard attempt == readers[kind.rawValue].attempt, case .reading = readers[kind.rawValue].state else { return }
        readers[kind.rawValue].wait(from: now, since: nil, limits)
        deactivate("failed to read \(kind.title): \(failure?.description ?? "the stream was closed")", &effects)
    }

    /// There is a reason to believe that a dial succeeds now: what waits longer than the shortest time is cut short.
    mutating func redialSoon(now: Instant) {
        for kind in StreamKind.allCases {
            guard case .waiting(let until, let since) = readers[kind.rawValue].state else { continue }
            let soon = max(now, (since ?? now) + limits.redial)
            readers[kind.rawValue].failures = 0
            readers[kind.rawValue].state = .waiting(until: min(until, soon), since: since)
        }
    }
}
