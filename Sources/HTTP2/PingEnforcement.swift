/// Judges a client's pings as grpc-go's server does: strikes for pings that come too soon, forgiven when the server sends anything.
struct PingEnforcement {
    static let strikesAllowed = 2
    /// What counts as too soon on a connection without streams (grpc-go's default ping interval).
    static let intervalWithoutStreams: UInt64 = 7_200 * 1_000_000_000

    private let minimumInterval: UInt64
    private let permitWithoutStreams: Bool
    private var lastPing: UInt64?
    private var strikes = 0
    private var forgiven = false

    init(_ policy: KeepalivePolicy) {
        minimumInterval = policy.minimumPingInterval.wholeNanoseconds
        permitWithoutStreams = policy.permitWithoutStreams
    }

    /// HEADERS or DATA went out: the next ping answers to that and is not judged.
    mutating func sentToClient() { forgiven = true }

    /// False when the connection has to end.
    mutating func pinged(now: UInt64, openStreams: Int) -> Bool {
        defer { lastPing = now }
        if forgiven {
            forgiven = false
            strikes = 0
            return true
        }
        let interval = openStreams == 0 && !permitWithoutStreams ? Self.intervalWithoutStreams : minimumInterval
        if let lastPing, now &- lastPing < interval { strikes += 1 }
        return strikes <= Self.strikesAllowed
    }
}

/// Decides when the server pings a silent connection and when it gives it up. Times are nanoseconds of a monotonic clock.
struct KeepaliveSchedule {
    enum Step: Equatable {
        case wait(nanoseconds: UInt64)
        /// Ping, and ask again after the timeout.
        case ping(askAgainAfter: UInt64)
        case giveUp
    }

    private let interval: UInt64
    private let timeout: UInt64
    private var lastRead: UInt64
    private var pingedAt: UInt64?

    init(_ policy: KeepalivePolicy, now: UInt64) {
        interval = policy.pingAfterIdle.wholeNanoseconds
        timeout = policy.pingTimeout.wholeNanoseconds
        lastRead = now
    }

    mutating func readSomething(now: UInt64) {
        lastRead = now
        pingedAt = nil
    }

    mutating func step(now: UInt64) -> Step {
        if let pingedAt {
            let waited = now &- pingedAt
            return waited >= timeout ? .giveUp : .wait(nanoseconds: timeout - waited)
        }
        let silent = now &- lastRead
        if silent < interval { return .wait(nanoseconds: interval - silent) }
        pingedAt = now
        return .ping(askAgainAfter: timeout)
    }
}
