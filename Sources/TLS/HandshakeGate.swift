import NIOCore
import Synchronization

/// Counts handshakes under way against a limit, for all event loops together.
final class HandshakeGate: Sendable {
    private let limit: Int
    private let open = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    /// True when the handshake may go on; it must then ``leave()`` exactly once.
    func tryEnter() -> Bool {
        if open.add(1, ordering: .relaxed).newValue <= limit { return true }
        open.subtract(1, ordering: .relaxed)
        return false
    }

    func leave() {
        let left = open.subtract(1, ordering: .relaxed).newValue
        precondition(left >= 0, "more handshakes left than entered")
    }
}

/// Tells rejections to the operator, so many a second at most: a client in a loop must not fill the log.
final class RejectionLog: Sendable {
    private struct Allowance {
        var tokens = RejectionLog.burst
        var since = NIODeadline.uptimeNanoseconds(0)
        var untold = 0
    }

    private static let burst = 50
    private static let perSecond = 5
    private let allowance = Mutex(Allowance())
    private let log: @Sendable (TLSLogRecord) -> Void

    init(_ log: @escaping @Sendable (TLSLogRecord) -> Void) { self.log = log }

    func note(_ rejection: TLSRejection, now: NIODeadline) {
        let untold: Int? = allowance.withLock { allowance in
            let earned = (now - allowance.since).nanoseconds / (1_000_000_000 / Int64(Self.perSecond))
            if earned > 0 {
                allowance.tokens = min(Self.burst, allowance.tokens + Int(min(earned, Int64(Self.burst))))
                allowance.since = now
            }
            guard allowance.tokens > 0 else {
                allowance.untold += 1
                return nil
            }
            allowance.tokens -= 1
            defer { allowance.untold = 0 }
            return allowance.untold
        }
        guard let untold else { return }
        var rejection = rejection
        rejection.untold = untold
        log(.rejected(rejection))
    }
}
