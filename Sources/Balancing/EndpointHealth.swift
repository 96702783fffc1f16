import Host

/// What probes and requests have shown about one endpoint, and when to probe it next. Time and randomness are handed in.
struct EndpointHealth {
    enum Condition: Equatable { case unknown, up, down(LeaveReason) }

    private(set) var condition = Condition.unknown
    /// From the last probe that was answered.
    private(set) var report: ProbeReport?
    /// Why the last probe failed, in words; nil after one that passed.
    private(set) var lastProblem: String?
    private(set) var lastAnswer: Instant?
    /// Of the last answered probe.
    private(set) var probeLatency: Instant.Span?
    /// Probes in a row that passed, and that failed.
    private(set) var passed = 0
    private(set) var failed = 0
    /// Probes in a row that were not answered in time and count for nothing.
    private var excused = 0
    /// Probes in a row that were answered by a member without leader.
    private(set) var leaderless = 0
    private(set) var probing: Instant?
    private(set) var nextProbe: Instant
    /// Set from outside: the cluster the endpoint belongs to is not the one that is served.
    var isForeign = false
    private(set) var ejection = Ejection()
    private var backOff = 0

    init(firstProbe: Instant) { nextProbe = firstProbe }

    var hasBeenProbed: Bool { condition != .unknown || failed > 0 }

    func standing(now: Instant) -> Standing {
        if isForeign { return .forbidden }
        switch condition {
        case .unknown: return .unproven
        case .down(let reason): return reason == .ownAddress ? .forbidden : .down
        case .up: break
        }
        guard let report else { return .unproven }
        if report.alarms.contains(.corrupt) { return .corrupt }
        if report.isLearner { return .learner }
        if !report.hasLeader || report.notReady != nil { return .noLeader }
        return ejection.isActive ? .ejected : .serving
    }

    /// Why streams should not stay here, when they should not.
    func leaveReason(now: Instant, fall: Int) -> LeaveReason? {
        switch standing(now: now) {
        case .serving, .unproven: return nil
        case .ejected: return .failing
        // A cluster that elects a leader has none for a moment: not worth moving for.
        case .noLeader: return leaderless >= fall ? .noLeader : nil
        case .learner: return .learner
        case .corrupt: return .corrupt
        case .forbidden: return isForeign ? .wrongCluster : .ownAddress
        case .down:
            if case .down(let reason) = condition { return reason }
            return nil
        }
    }

    // MARK: Probes

    /// A probe is due: it is taken for sent.
    mutating func probeIfDue(now: Instant) -> Bool {
        guard probing == nil, nextProbe <= now else { return false }
        probing = now
        return true
    }

    /// Something looks wrong: the next probe is sent now.
    mutating func probeSoon(now: Instant) { nextProbe = min(nextProbe, now) }

    mutating func probeFinished(
        _ result: ProbeResult, lastHeard: Instant?, now: Instant, _ settings: BalancingSettings, _ random: inout SeededRandom
    ) {
        let started = probing ?? now
        probing = nil
        switch result {
        case .answered(let found):
            report = found
            probeLatency = now - started
            lastAnswer = now
            lastProblem = found.notReady
            (passed, failed, excused) = (passed + 1, 0, 0)
            leaderless = found.hasLeader && found.notReady == nil ? 0 : leaderless + 1
            if condition == .unknown || passed >= settings.rise { condition = .up }
            ejection.probePassed(startedAt: started)
        case .failed(.timedOut, _) where isExcused(started, lastHeard, now, settings):
            excused += 1
            passed = 0
            nextProbe = now
            return
        case .failed(let failure, let detail):
            lastProblem = detail
            (passed, failed, excused) = (0, failed + 1, 0)
            if condition != .up || failure.isDecisive || failed >= settings.fall { condition = .down(failure.leaveReason) }
        }
        schedule(now: now, settings, &random)
    }

    /// Clients heard from the endpoint in the second half of the wait. One that hung before is not excused, and one that hung since is
    /// found by the next probe, which begins now: half a wait later at most.
    private func isExcused(_ started: Instant, _ lastHeard: Instant?, _ now: Instant, _ settings: BalancingSettings) -> Bool {
        guard let lastHeard, condition == .up, excused < settings.excusedTimeouts else { return false }
        return lastHeard >= started + Instant.Span(nanoseconds: (now - started).nanoseconds / 2)
    }

    private mutating func schedule(now: Instant, _ settings: BalancingSettings, _ random: inout SeededRandom) {
        var wait = settings.probeInterval.nanoseconds
        switch condition {
        case .up where failed > 0, .down where passed > 0:
            // On the way down or up: the next look decides.
            wait /= 4
            backOff = 0
        case .down:
            for _ in 0..<min(backOff, 16) where wait < settings.longestProbeInterval.nanoseconds { wait *= 2 }
            wait = min(wait, max(settings.longestProbeInterval.nanoseconds, settings.probeInterval.nanoseconds))
            backOff += 1
        case .up, .unknown: backOff = 0
        }
        let share = settings.probeJitter * (Double.random(in: -1...1, using: &random))
        nextProbe = now + Instant.Span(nanoseconds: wait + Int64(Double(wait) * share))
    }

    // MARK: Requests

    /// Returns how long the endpoint was ejected for, if it was ejected by this.
    mutating func countFailure(successesBefore: Int, now: Instant, _ settings: BalancingSettings) -> Instant.Span? {
        probeSoon(now: now)
        // What is down already needs no ejection.
        guard condition == .up else { return nil }
        return ejection.countFailure(successesBefore: successesBefore, now: now, settings)
    }

    mutating func advance(now: Instant) {
        let awaited = ejection.awaitsProbe
        ejection.advance(now: now)
        // Its time is over: what decides is a probe that begins now.
        if !awaited, ejection.awaitsProbe { probeSoon(now: now) }
    }
}
