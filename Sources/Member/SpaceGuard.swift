import Host

/// Tells when a page file has stayed well below its quota for long enough to lift the NOSPACE alarm it raised.
struct SpaceGuard {
    static let fraction = 0.9
    static let patience = Instant.Span.seconds(30)

    private var since: Instant?
    private(set) var nextWake: Instant?

    mutating func isBelow(size: Int64, quota: Int64, now: Instant) -> Bool {
        guard Double(size) < Double(quota) * SpaceGuard.fraction else {
            since = nil
            nextWake = nil
            return false
        }
        let began = since ?? now
        since = began
        nextWake = began + SpaceGuard.patience
        return now - began >= SpaceGuard.patience
    }

    mutating func reset() {
        since = nil
        nextWake = nil
    }
}
