import Bytes
import ClientAPI
import EtcdAPI
import Host
import LinuxHost
import Member
import NIOCore
import PeerTransport
import Raft
import Records

/// Puts to the leader what a follower cannot answer, over the leader's peer port as etcd does: `/leases`, `/leases/internal`,
/// `/members/promote/ID`.
final class LeaderQuestions: Sendable {
    /// Between two attempts: the leader may be changing.
    private static let pause = TimeAmount.milliseconds(50)

    private let network: PeerNetwork
    private let memberID: MemberID
    private let timeout: Instant.Span

    /// `timeout`: how long a client waits for an answer.
    init(_ network: PeerNetwork, memberID: MemberID, timeout: Instant.Span) {
        self.network = network
        self.memberID = memberID
        self.timeout = timeout
    }

    /// One attempt: the answer of the member that `status` says leads. A refusal for want of a leader may be asked again.
    func ask(_ question: LeaderQuestion, _ status: MemberStatus) -> EventLoopFuture<MemberAnswer> {
        let eventLoop = network.eventLoop
        guard let leader = status.membership.members.first(where: { $0.id == status.leader }), leader.id != memberID else {
            return eventLoop.scheduleTask(in: LeaderQuestions.pause) { .refused(.noLeader) }.futureResult
        }
        return network.ask(
            leader.peerURLs[...], path: question.path, method: "POST", body: question.body,
            timeout: .nanoseconds(timeout.nanoseconds)
        ).map { question.answer($0) }.flatMapErrorThrowing { error in
            if case PeerRequestError.timeout = error { return .refused(.timeout) }
            return .refused(.noLeader)
        }
    }
}

extension LeaderQuestion {
    fileprivate var path: String {
        switch self {
        case .renewLease: "/leases"
        case .leaseTimeToLive: "/leases/internal"
        case .promote(let id): "/members/promote/\(id)"
        }
    }

    fileprivate var body: [UInt8] {
        switch self {
        case .renewLease(let id): LeaseKeepAliveRequest(id: id).encoded()
        case .leaseTimeToLive(let id, let keys):
            LeaseInternalRequest(leaseTimeToLiveRequest: LeaseTimeToLiveRequest(id: id, keys: keys)).encoded()
        case .promote: []
        }
    }

    fileprivate func answer(_ response: PeerResponse) -> MemberAnswer {
        switch self {
        case .promote: return promotion(response)
        case .renewLease, .leaseTimeToLive: break
        }
        switch response.status {
        case 200: break
        case 404: return .refused(.leaseNotFound)
        case 408: return .refused(.timeout)
        default: return .refused(.noLeader)
        }
        if case .renewLease(let id) = self {
            guard let answer = try? LeaseKeepAliveResponse(decoding: response.body), answer.id == id else {
                return .refused(.noLeader)
            }
            return .leaseRenewed(ttl: answer.ttl)
        }
        guard let answer = (try? LeaseInternalResponse(decoding: response.body))?.leaseTimeToLiveResponse else {
            return .refused(.noLeader)
        }
        return .leaseTimes(remaining: answer.ttl, granted: answer.grantedTTL, keys: answer.keys)
    }

    private func promotion(_ response: PeerResponse) -> MemberAnswer {
        let text = String(decoding: response.body, as: UTF8.self)
        switch response.status {
        case 200:
            guard let members = try? MemberRecord.list(decodingJSON: response.body) else { return .refused(.noLeader) }
            return .members(members)
        case 404: return .refused(.memberNotFound)
        case 412: return .refused(text.contains("in sync") ? .learnerNotReady : .memberNotLearner)
        case 503 where text.contains("started members"): return .refused(.memberNotEnoughStarted)
        default: return .refused(.noLeader)
        }
    }
}
