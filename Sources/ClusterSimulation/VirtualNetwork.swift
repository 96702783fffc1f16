import Host
import Raft

/// How bad the network is, everywhere. Probabilities in percent.
public struct NetworkFaults: Sendable {
    public var lossPercent = 0
    public var duplicatePercent = 0
    /// Messages that overtake others or are overtaken.
    public var reorderPercent = 0
    public var slowPercent = 0
    /// What a slow message takes at most.
    public var slowest = Instant.Span.milliseconds(300)
    public init() {}
}

/// The network between members: each pair has a link in either direction that can be cut, clogged or slow.
///
/// A cut link loses what is sent. A clogged one keeps it, and delivers all of it when it is freed.
public final class VirtualNetwork {
    struct Link: Hashable {
        let from: MemberID
        let to: MemberID
    }

    public var faults = NetworkFaults()
    private var cut: [Link: Int] = [:]
    private var clogged: [Link: Int] = [:]
    private var kept: [Link: [Parcel]] = [:]
    /// How often each direction has come back.
    private var returns: [Link: UInt64] = [:]
    private var lastArrival: [Link: Instant] = [:]
    private var random: SeededRandom
    /// Parcels one clogged link keeps; what comes on top is lost, as with any full buffer.
    static let largestBacklog = 2000

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    /// Cuts one direction. Cuts add up: as many ``unblock(_:_:)`` free it.
    public func block(_ from: MemberID, _ to: MemberID) { cut[Link(from: from, to: to), default: 0] += 1 }
    public func unblock(_ from: MemberID, _ to: MemberID) {
        lower(&cut, Link(from: from, to: to))
        returns[Link(from: from, to: to), default: 0] += 1
    }
    public func isBlocked(_ from: MemberID, _ to: MemberID) -> Bool { cut[Link(from: from, to: to)] != nil }

    /// Between two members, a number that stays for as long as no direction was cut; nil while one is.
    func connection(_ one: MemberID, _ other: MemberID) -> UInt64? {
        let links = [Link(from: one, to: other), Link(from: other, to: one)]
        return links.contains { cut[$0] != nil } ? nil : links.reduce(0) { $0 + (returns[$1] ?? 0) }
    }

    public func clog(_ from: MemberID, _ to: MemberID) { clogged[Link(from: from, to: to), default: 0] += 1 }

    /// Frees a clogged direction; returns what it kept.
    func unclog(_ from: MemberID, _ to: MemberID) -> [Parcel] {
        let link = Link(from: from, to: to)
        lower(&clogged, link)
        return clogged[link] == nil ? kept.removeValue(forKey: link) ?? [] : []
    }

    /// Frees everything; returns what clogged links kept, in a fixed order.
    func clear() -> [Parcel] {
        let links = kept.keys.sorted { ($0.from, $0.to) < ($1.from, $1.to) }
        let parcels = links.flatMap { kept[$0] ?? [] }
        for link in cut.keys { returns[link, default: 0] += 1 }
        cut = [:]
        clogged = [:]
        kept = [:]
        return parcels
    }

    private func lower(_ counts: inout [Link: Int], _ link: Link) {
        guard let count = counts[link] else { return }
        counts[link] = count == 1 ? nil : count - 1
    }

    /// When the parcel arrives: never, once, or several times.
    func arrivals(of parcel: Parcel, now: Instant) -> [Instant] {
        let link = Link(from: parcel.message.from, to: parcel.message.to)
        if cut[link] != nil || chance(faults.lossPercent) { return [] }
        if clogged[link] != nil {
            guard kept[link, default: []].count < VirtualNetwork.largestBacklog else { return [] }
            kept[link, default: []].append(parcel)
            return [Instant(nanoseconds: .max)]
        }
        var times = [arrival(of: parcel, on: link, now: now)]
        // A proposal travels on one connection, which delivers it once or not at all; the log would take it twice.
        let isRepeated =
            parcel.message.kind == .proposal ? parcel.mayRepeatProposals && chance(10) : chance(faults.duplicatePercent)
        if isRepeated {
            times.append(arrival(of: parcel, on: link, now: now))
        }
        return times
    }

    private func arrival(of parcel: Parcel, on link: Link, now: Instant) -> Instant {
        let slowest = chance(faults.slowPercent) ? faults.slowest.nanoseconds : 700_000
        let transfer = Int64(parcel.database?.count ?? 0) * 10
        let time = now + Instant.Span(nanoseconds: Int64.random(in: 150_000...slowest, using: &random) + transfer)
        if chance(faults.reorderPercent) { return time }
        let ordered = max(time, (lastArrival[link] ?? time) + Instant.Span(nanoseconds: 1))
        lastArrival[link] = ordered
        return ordered
    }

    private func chance(_ percent: Int) -> Bool { percent > 0 && Int.random(in: 0..<100, using: &random) < percent }
}

/// What travels between members: a message, and the database that goes with a snapshot.
struct Parcel {
    var message: Message
    var database: [UInt8]?
    /// Set by a seeded bug only.
    var mayRepeatProposals = false
}
