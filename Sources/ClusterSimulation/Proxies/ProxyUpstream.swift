import Balancing
import Host
import Raft

/// How an endpoint treats a proxy.
enum UpstreamTemper: Equatable {
    case sound
    /// Connections are refused.
    case refusing
    /// Connections stand, and nothing comes back.
    case hung
    case slow(Instant.Span)
    /// Probes pass; every request is answered with Unavailable.
    case unavailable
    /// Probes pass; connections break once they have carried a request, which may or may not have taken effect.
    case breaking
    /// Probes pass; watches that are resumed are created under another id than they asked for.
    case lying
    /// Probes pass; watches that are resumed begin one revision before they should, so that events come again.
    case repeating
    /// Probes pass; what is asked once is taken and never answered. Streams are served.
    case swallowing
    /// Says that it leads, whoever does.
    case pretending
    /// Says that its store and log are where they were long ago.
    case outdated
    /// Names members of the past when asked for the list.
    case mislisting
    /// Belongs to another cluster, or says so.
    case foreign
    /// Sound and refusing by turns, for so long.
    case flapping(Instant.Span)

    static func bad(_ random: inout SeededRandom) -> UpstreamTemper {
        switch Int.random(in: 0..<13, using: &random) {
        case 0: .refusing
        case 1: .hung
        case 2: .slow(.milliseconds([5, 80, 700, 3000][Int.random(in: 0..<4, using: &random)]))
        case 3: .unavailable
        case 4: .breaking
        case 5: .lying
        case 6: .foreign
        case 7: .repeating
        case 8: .swallowing
        case 9: .pretending
        case 10: .outdated
        case 11: .mislisting
        default: .flapping(.milliseconds(Int64.random(in: 100...3000, using: &random)))
        }
    }
}

/// One endpoint of a proxy: a member's client port, or a bad one that stands before whichever member runs.
final class ProxyUpstream {
    let address: EndpointAddress
    /// nil for a bad one.
    let member: MemberID?
    /// As it is until a fault changes it, and after healing.
    let nature: UpstreamTemper
    private var present: UpstreamTemper
    private unowned let cluster: SimulatedCluster
    /// The machine is gone without a word: nothing refuses connections for it.
    var isUnplugged = false

    init(_ cluster: SimulatedCluster, member: MemberID, nature: UpstreamTemper = .sound) {
        self.cluster = cluster
        self.member = member
        self.nature = nature
        present = nature
        address = EndpointAddress(scheme: .http, host: "m\(member)", port: EndpointAddress.defaultPort)
    }

    init(_ cluster: SimulatedCluster, bad number: Int, nature: UpstreamTemper) {
        self.cluster = cluster
        member = nil
        self.nature = nature
        present = nature
        address = EndpointAddress(scheme: .http, host: "bad\(number)", port: EndpointAddress.defaultPort)
    }

    func change(to temper: UpstreamTemper) { present = temper }
    func heal() { present = nature }

    /// At the moment.
    var temper: UpstreamTemper {
        guard case .flapping(let span) = present else { return present }
        return cluster.now.nanoseconds / UInt64(span.nanoseconds) % 2 == 0 ? .sound : .refusing
    }

    /// Whoever answers behind it; nil while nobody does.
    var backing: SimulatedMember? {
        guard let member else { return cluster.members.first { $0.isRunning && $0.pausedUntil <= cluster.now } }
        return cluster.runningMember(member)
    }

    var refuses: Bool { temper == .refusing || backing == nil && !isUnplugged }

    var isSilent: Bool {
        if temper == .hung { return true }
        guard let backing else { return isUnplugged }
        return backing.pausedUntil > cluster.now
    }

    /// One way.
    var delay: Instant.Span {
        if case .slow(let span) = temper { return span }
        return Instant.Span(nanoseconds: 200_000)
    }
}
