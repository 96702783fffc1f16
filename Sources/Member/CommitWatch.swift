import Host

/// The commit to the page file that is under way, and when it counts as one that hangs.
///
/// On some disks commits take longer than an election timeout every now and then. That is no reason to give leadership away each time:
/// the next leader's disk is often of the same kind, and nobody writes while leadership moves. So a commit hangs when it also takes
/// several times as long as the slowest of the last minute did.
struct CommitWatch {
    /// Since when a group has been on its way to the page file; nil for a rewrite, which takes as long as it takes.
    private(set) var began: Instant?
    /// How long the slowest commits of the present stretch of time and of the one before took.
    private var slowest = (now: Instant.Span.seconds(0), before: Instant.Span.seconds(0))
    private var stretchBegan = Instant(nanoseconds: 0)

    private static let stretch = Instant.Span.seconds(30)
    private static let longestStretch = Instant.Span.seconds(60)
    private static let factor: Int64 = 4
    /// What cannot be committed fills the memory meanwhile.
    static let longestPatience = Instant.Span.seconds(10)

    mutating func begins(_ now: Instant) { began = now }

    mutating func ends(_ now: Instant) {
        guard let began else { return }
        self.began = nil
        if now - stretchBegan >= CommitWatch.stretch {
            // Nothing is known of a stretch without commits.
            let isNext = began - stretchBegan < CommitWatch.longestStretch
            slowest = (.seconds(0), isNext ? slowest.now : .seconds(0))
            stretchBegan = now
        }
        slowest.now = max(slowest.now, now - began)
    }

    /// It is of no interest any more how long it takes.
    mutating func forget() { began = nil }

    /// When the commit that is under way hangs.
    func hangs(electionTimeout: Instant.Span) -> Instant? {
        let known = max(slowest.now, slowest.before).nanoseconds
        let patience = min(Instant.Span(nanoseconds: known * CommitWatch.factor), CommitWatch.longestPatience)
        return began.map { $0 + max(electionTimeout, patience) }
    }
}
