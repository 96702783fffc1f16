import EtcdAPI
import Host
import Raft
import Simulation

/// Figure 8 of the Raft paper, played on purpose in a cluster of three, since chance hardly ever does.
///
/// A leader holds entries that nobody else has, and fails. The next leader fails before anybody has its first entry. The first comes
/// back, leads again, and fails when the third member has the oldest of those entries, and nothing newer. Whoever takes it for committed
/// now has it replaced by the second leader's.
final class OldTermScene {
    private enum Act: Equatable {
        case cutOff
        case waitingForSecond
        case secondFound
        case waitingForThird(beyond: LogIndex)
        case over
    }

    private unowned let cluster: SimulatedCluster
    private let clients: Clients
    private let first: SimulatedMember
    private let others: [SimulatedMember]
    private var second: SimulatedMember?
    private var act = Act.cutOff
    /// What the first has from the others while it is being cut off.
    private var acknowledged: [MemberID: LogIndex] = [:]
    private var cuts: [(MemberID, MemberID)] = []

    /// How long all of it may take.
    static let length = Instant.Span.seconds(8)
    /// Entries longer than a message may be travel alone.
    static let appendBytes = 200

    /// nil unless there are three members.
    init?(_ cluster: SimulatedCluster, _ clients: Clients, members: [SimulatedMember]) {
        guard members.count == 3, members.allSatisfy(\.isRunning), let leader = cluster.leaders.first,
            members.contains(where: { $0 === leader })
        else { return nil }
        self.cluster = cluster
        self.clients = clients
        first = leader
        others = members.filter { $0 !== leader }
    }

    func begin() throws {
        for other in others { cut(first, other) }
        for number in 0..<3 {
            let put = PutRequest(key: Array("scene".utf8), value: [UInt8](repeating: UInt8(number), count: 2 * Self.appendBytes))
            try clients.run(.propose(.put(put)), at: first.id)
        }
        after(.milliseconds(100)) { [unowned self] in
            act = .waitingForSecond
            try cluster.stop(first.id, .kept)
            mend()
        }
        after(Self.length) { [unowned self] in try end() }
    }

    /// A message leaves some member.
    func sent(_ message: Raft.Message) {
        switch (act, message.kind) {
        case (.cutOff, .appendResponse) where !message.reject && message.to == first.id:
            acknowledged[message.from] = max(acknowledged[message.from] ?? 0, message.index)
        case (.waitingForSecond, .voteResponse) where !message.reject:
            guard let candidate = others.first(where: { $0.id == message.to }) else { return }
            second = candidate
            act = .secondFound
            // The vote itself arrives.
            soon { [unowned self] in for other in others where other !== candidate { cut(candidate, other) } }
            after(.milliseconds(30)) { [unowned self] in try secondFails(candidate) }
        case (.waitingForThird(let last), .appendResponse)
        where !message.reject && message.to == first.id && message.index > last:
            act = .over
            soon { [unowned self] in for other in others { cut(first, other) } }
            after(.milliseconds(30)) { [unowned self] in try firstFailsAgain() }
        default: break
        }
    }

    private func secondFails(_ candidate: SimulatedMember) throws {
        guard candidate.published?.status.role == .leader else { return try end() }
        try cluster.stop(candidate.id, .kept)
        mend()
        guard let third = others.first(where: { $0 !== candidate }) else { return try end() }
        act = .waitingForThird(beyond: max(third.published?.status.commitIndex ?? 0, acknowledged[third.id] ?? 0))
        try cluster.start(first.id)
    }

    private func firstFailsAgain() throws {
        try cluster.stop(first.id, .kept)
        mend()
        if let second { try cluster.start(second.id) }
    }

    /// Everybody runs again, whatever has become of the scene.
    private func end() throws {
        act = .over
        mend()
        for member in others + [first] where !member.isGone { try cluster.start(member.id) }
    }

    // MARK: ways

    private func cut(_ from: SimulatedMember, _ to: SimulatedMember) {
        cluster.network.block(from.id, to.id)
        cuts.append((from.id, to.id))
    }

    private func mend() {
        for (from, to) in cuts { cluster.network.unblock(from, to) }
        cuts = []
    }

    private func soon(_ body: @escaping () throws -> Void) { after(Instant.Span(nanoseconds: 1), body) }

    private func after(_ span: Instant.Span, _ body: @escaping () throws -> Void) {
        cluster.schedule(after: span) { [weak self] in if self != nil { try body() } }
    }
}
