import Host
import Member
import Raft

/// A lease ends no later than checkpoints promise, in a cluster of Quorate alone. Times are true ones; clocks may run slow.
///
/// A lease that nobody renews lives for its time to live T, and each change of leaders adds at most
/// - the election timeout, as a new leader gives it to every lease in case the one before renewed it at its last moment,
/// - a second, for what is left is written down in whole seconds, rounded up,
/// - the time until the next leader's first entry is applied,
/// - what had passed since the last checkpoint, or since this leader's first entry: while the cluster is whole at most two fifths of
///   T before a lease's first checkpoint, and an eighth of T from then on (a second at least, five minutes at most), after the
///   moment in which the leader has learnt what the others are.
///
/// Of this the log tells what is necessary: the end that a leader may choose follows from its first entry, for what is left is what
/// the log says there, and from the grants and renewals it takes. The rest is that a leader of a whole cluster keeps the log up to date.
final class RemainingTimeChecker {
    private struct Course {
        let ttl: Int64
        /// Seconds, as the log says; 0 for the whole time.
        var left: Int64 = 0
        /// The latest end the present leader may choose.
        var end: Instant

        var secondsLeft: Int64 { left > 0 ? left : ttl }
    }

    private var courses: [Int64: Course] = [:]
    let electionTimeout: Instant.Span
    /// When leaders applied their first entries.
    private(set) var promotions: [Instant] = []
    /// Since when nothing has been wrong anywhere; nil while something is.
    private(set) var wholeSince: Instant?

    /// Clocks run a twentieth slow at most.
    static let slowestPercent: Int64 = 106
    /// What a leader takes to ask the others what they are, and what is due to go through the log.
    static let reaction = Instant.Span.milliseconds(1_500)
    private static let shortestInterval = Instant.Span.seconds(1)
    private static let longestInterval = Instant.Span.seconds(300)

    init(electionTimeout: Instant.Span) { self.electionTimeout = electionTimeout }

    /// How far the log may be behind under the leader of a whole cluster.
    static func interval(_ ttl: Int64, isFirst: Bool) -> Instant.Span {
        let part = Instant.Span.milliseconds(ttl * 1000 * (isFirst ? 16 : 5) / 40)
        return max(shortestInterval, min(longestInterval, part))
    }

    static func slow(_ span: Instant.Span) -> Instant.Span { Instant.Span(nanoseconds: span.nanoseconds / 100 * slowestPercent) }

    // MARK: what happens

    func granted(_ id: Int64, ttl: Int64, now: Instant) {
        courses[id] = Course(ttl: ttl, end: now + RemainingTimeChecker.slow(.seconds(ttl)))
    }

    /// A leader took a renewal.
    func renewed(_ id: Int64, now: Instant) {
        guard let ttl = courses[id]?.ttl else { return }
        courses[id]?.end = now + RemainingTimeChecker.slow(.seconds(ttl))
    }

    /// A checkpoint entered the log.
    func wrote(_ id: Int64, left: Int64) { courses[id]?.left = left }

    /// A new leader applies its first entry.
    func promoted(now: Instant) {
        promotions.append(now)
        for (id, course) in courses {
            let span = Instant.Span.seconds(course.secondsLeft).nanoseconds + electionTimeout.nanoseconds
            courses[id]?.end = now + RemainingTimeChecker.slow(Instant.Span(nanoseconds: span))
        }
    }

    /// From now on nothing is wrong anywhere.
    func becameWhole(now: Instant) { wholeSince = now }
    func wasDisturbed() { wholeSince = nil }

    /// It is revoked, whoever asked for it.
    func ended(_ id: Int64, now: Instant) throws {
        guard let course = courses.removeValue(forKey: id) else { return }
        try checkEnd(id, course, now)
    }

    // MARK: what must hold

    /// To be looked at now and then.
    func check(now: Instant) throws {
        guard let wholeSince, let promotion = promotions.last else { return }
        for (id, course) in courses.sorted(by: { $0.key < $1.key }) {
            try checkEnd(id, course, now)
            guard now < course.end, now - max(wholeSince, promotion) > RemainingTimeChecker.reaction else { continue }
            let interval = RemainingTimeChecker.interval(course.ttl, isFirst: course.left == 0)
            let overstated = Instant.Span.seconds(course.secondsLeft).nanoseconds - (course.end - now).nanoseconds
            let limit =
                RemainingTimeChecker.slow(interval).nanoseconds + RemainingTimeChecker.reaction.nanoseconds + 1_000_000_000
            guard overstated <= limit else {
                throw Violation(
                    "lease-times",
                    "the log leaves lease \(id) \(course.secondsLeft) of \(course.ttl) s, when it has "
                        + "\((course.end - now).seconds) s at most")
            }
        }
    }

    private func checkEnd(_ id: Int64, _ course: Course, _ now: Instant) throws {
        guard let wholeSince, let promotion = promotions.last else { return }
        let late = now - max(course.end, wholeSince, promotion)
        guard late <= RemainingTimeChecker.reaction else {
            throw Violation("lease-late", "lease \(id) of \(course.ttl) s lives for \(late.seconds) s longer than it may")
        }
    }
}

extension Instant.Span {
    static func + (a: Instant.Span, b: Instant.Span) -> Instant.Span {
        Instant.Span(nanoseconds: a.nanoseconds + b.nanoseconds)
    }
}
