import Bytes
import EtcdAPI
import GRPC
import Member
import Records

/// `etcdserverpb.Cluster`.
final class ClusterService {
    private let member: LoopMember
    private lazy var additions = UnaryHandler { [unowned self] in add($0, $1) }
    private lazy var removals = UnaryHandler { [unowned self] in remove($0, $1) }
    private lazy var updates = UnaryHandler { [unowned self] in update($0, $1) }
    private lazy var promotions = UnaryHandler { [unowned self] in promote($0, $1) }
    private lazy var lists = UnaryHandler { [unowned self] in list($0, $1) }
    /// Seconds since 1970, which a new member's id is made of.
    private let wallSeconds: () -> Int64

    init(_ member: LoopMember, wallSeconds: @escaping () -> Int64) {
        self.member = member
        self.wallSeconds = wallSeconds
    }

    func handler(_ procedure: Procedure) -> any GRPCStreamHandler {
        switch procedure {
        case .clusterMemberAdd: additions
        case .clusterMemberRemove: removals
        case .clusterMemberUpdate: updates
        case .clusterMemberPromote: promotions
        default: lists
        }
    }

    private func add(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: MemberAddRequest
        do { request = try MemberAddRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        guard let urls = PeerURLs.sorted(request.peerURLs) else { return stream.refuse(.memberBadURLs) }
        // Added members' ids hold the moment of the addition, so that none comes twice; the token stays empty, as in etcd.
        let id = MemberIdentity.memberID(peerURLs: urls, clusterToken: "", unixSeconds: wallSeconds())
        let added = MemberRecord(id: id, peerURLs: urls, isLearner: request.isLearner)
        change(.add(added), stream) { header, members in
            MemberAddResponse(header: header, member: ClusterMember(added), members: members)
        }
    }

    private func remove(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: MemberRemoveRequest
        do { request = try MemberRemoveRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        change(.remove(request.id), stream) { MemberRemoveResponse(header: $0, members: $1) }
    }

    private func update(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: MemberUpdateRequest
        do { request = try MemberUpdateRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        change(.update(request.id, peerURLs: request.peerURLs), stream) { MemberUpdateResponse(header: $0, members: $1) }
    }

    private func promote(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: MemberPromoteRequest
        do { request = try MemberPromoteRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        member.submitToLeader(.promote(request.id)) { [unowned self] answer in
            guard case .members(let members) = answer else { return stream.answer(answer) }
            stream.answer(MemberPromoteResponse(header: member.header, members: members.map(ClusterMember.init)))
        }
    }

    private func change(
        _ request: MembershipRequest, _ stream: GRPCStream,
        response: @escaping (ResponseHeader, [ClusterMember]) -> some EtcdAPI.Message
    ) {
        member.submit(.changeMembership(request)) { [unowned self] answer in
            guard case .members(let members) = answer else { return stream.answer(answer) }
            stream.answer(response(member.header, members.map(ClusterMember.init)))
        }
    }

    private func list(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: MemberListRequest
        do { request = try MemberListRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        member.whenCurrent(serializable: !request.linearizable, stream) { [unowned self] in
            let members = member.published.status.membership.members
            stream.answer(MemberListResponse(header: member.header, members: members.map(ClusterMember.init)))
        }
    }
}

extension ClusterMember {
    init(_ record: MemberRecord) {
        self.init(
            id: record.id, name: record.name, peerURLs: record.peerURLs, clientURLs: record.clientURLs,
            isLearner: record.isLearner)
    }
}

/// What etcd demands of peer URLs in requests: scheme, host and port, and nothing after it.
enum PeerURLs {
    /// In ascending order, or nil when there is none or one is no such URL.
    static func sorted(_ urls: [String]) -> [String]? {
        guard !urls.isEmpty, urls.allSatisfy(isValid) else { return nil }
        return urls.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func isValid(_ url: String) -> Bool {
        let parts = url.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, ["http", "https", "unix", "unixs"].contains(parts[0]) else { return false }
        guard let colon = parts[1].lastIndex(of: ":"), colon != parts[1].startIndex else { return false }
        let port = parts[1][parts[1].index(after: colon)...]
        return !port.isEmpty && port.utf8.allSatisfy { (0x30...0x39).contains($0) } && !parts[1].contains("/")
    }
}
