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
        let isPatient = now - began >= SpaceGuard.patience
        // Once it is due, whatever becomes of the proposal wakes the member by itself.
        nextWake = isPatient ? nil : began + SpaceGuard.patience
        return isPatient
    }

    /// There is no alarm to lift, or another member sees to it.
    mutating func reset() {
        since = nil
        nextWake = nil
    }
}
