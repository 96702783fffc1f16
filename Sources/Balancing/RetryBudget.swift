import Host

/// How many requests may be sent a second time: a share of all requests and a few a second besides, so that a sick cluster is not
/// flooded with the same requests over and over.
public struct RetryBudget: Sendable {
    /// Tokens that one request adds; a retry takes one.
    public let share: Double
    public let perSecond: Double
    private let limit: Double
    private var tokens: Double
    private var updated: Instant?

    /// - Parameters:
    ///   - share: retries allowed for each request.
    ///   - perSecond: retries allowed each second without any request.
    public init(share: Double = 0.2, perSecond: Double = 10) {
        self.share = share
        self.perSecond = perSecond
        // Ten seconds' worth is kept, and what a thousand requests earn.
        limit = perSecond * 10 + share * 1_000
        tokens = limit
    }

    public mutating func requestStarted() { tokens = min(limit, tokens + share) }

    /// Takes one retry out of the budget; false when it is used up.
    public mutating func mayRetry(now: Instant) -> Bool {
        if let updated, now > updated { tokens = min(limit, tokens + (now - updated).seconds * perSecond) }
        updated = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
