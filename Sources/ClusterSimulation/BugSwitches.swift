import Backend
import Balancing
import EtcdAPI
import Forwarding
import Host
import Member
import PageStore
import Raft
import Simulation
import Synchronization

/// What a member is doing, as far as a seeded bug depends on it; read by the disk it writes to.
final class TurnKind: Sendable {
    struct State {
        var hasVoteRequest = false
        var hasAppend = false
        var isLeader = false
        var syncs = 0
    }

    let state = Mutex(State())

    func begin(_ inbox: Inbox, isLeader: Bool) {
        state.withLock {
            $0.hasVoteRequest = inbox.messages.contains { $0.kind == .vote }
            $0.hasAppend = inbox.messages.contains { $0.kind == .append }
            $0.isLeader = isLeader
        }
    }
}

extension SimulatedCluster {
    /// The disk that a member's process is given.
    func disk(of member: SimulatedMember) -> any Disk {
        guard let bug = options.bug, let skips = BugSwitches.skippedSyncs(bug, member.turnKind) else { return member.disk }
        return SeededDisk(member.disk, skips: skips)
    }
}

/// Where the mistakes that concern the disk are made.
enum BugSwitches {
    /// Which syncs a bug leaves out, by path; nil for a bug that is none of the disk's.
    static func skippedSyncs(_ bug: SeededBug, _ kind: TurnKind) -> (@Sendable (String) -> Bool)? {
        @Sendable func isLog(_ path: String) -> Bool { path.hasSuffix(".wal") }
        switch bug {
        case .acknowledgeBeforeSync:
            return { path in isLog(path) && everyOther(kind) }
        case .earlyVote: return { path in isLog(path) && kind.state.withLock { $0.hasVoteRequest } }
        case .earlyAppendResponse: return { path in isLog(path) && kind.state.withLock { $0.hasAppend } }
        case .leaderCountsItselfEarly: return { path in isLog(path) && kind.state.withLock { $0.isLeader } }
        case .metaBeforePages: return { path in path.hasSuffix("/db") && everyOther(kind) }
        case .unsyncedSnapshot: return { path in path.hasSuffix(".snap") }
        case .unsyncedDatabase: return { path in path.contains("/snap/tmp") }
        default: return nil
        }
    }

    private static func everyOther(_ kind: TurnKind) -> Bool {
        kind.state.withLock {
            $0.syncs += 1
            return $0.syncs % 2 == 1
        }
    }

    /// A watch's creation as sent to the next member, one revision late.
    static func resumedLate(_ message: [UInt8]) -> [UInt8] {
        guard let request = try? WatchRequest(decoding: Array(message.dropFirst(MessageSplitter.prefixSize))),
            case .createRequest(var create) = request.requestUnion, create.startRevision > 1
        else { return message }
        create.startRevision += 1
        return framed(WatchRequest(requestUnion: .createRequest(create)))
    }

    /// Where endpoints that are forbidden serve.
    static func allowingForeign(_ view: BalancingView) -> BalancingView {
        BalancingView(
            endpoints: view.endpoints.map { endpoint in
                guard endpoint.standing == .forbidden else { return endpoint }
                return BalancingView.Endpoint(
                    id: endpoint.id, address: endpoint.address, standing: .serving, memberID: endpoint.memberID,
                    isLeader: endpoint.isLeader, isPreferred: endpoint.isPreferred, priority: endpoint.priority,
                    latency: endpoint.latency)
            })
    }

    /// Commits the applied index alone, before the group it belongs to.
    static func commitIndexAlone(_ group: CommitGroup, to file: PageFile) throws {
        let transaction = try file.beginWrite()
        let meta = try transaction.createBucketIfMissing(Array("meta".utf8))
        for case .put(.meta, let key, let value) in group.changes { try meta.put(key, value) }
        try transaction.commit()
    }
}
