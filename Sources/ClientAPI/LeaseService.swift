import Bytes
import EtcdAPI
import GRPC
import Member

/// `etcdserverpb.Lease`.
final class LeaseService {
    private let member: LoopMember
    private(set) lazy var keepAlives: any GRPCStreamHandler = KeepAliveHandler(member)
    private lazy var grants = UnaryHandler { [unowned self] in grant($0, $1) }
    private lazy var revocations = UnaryHandler { [unowned self] in revoke($0, $1) }
    private lazy var times = UnaryHandler { [unowned self] in timeToLive($0, $1) }
    private lazy var lists = UnaryHandler { [unowned self] in list($0, $1) }

    init(_ member: LoopMember) { self.member = member }

    func unary(_ procedure: Procedure) -> any GRPCStreamHandler {
        switch procedure {
        case .leaseGrant: grants
        case .leaseRevoke: revocations
        case .leaseTimeToLive: times
        default: lists
        }
    }

    private func grant(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        var request: LeaseGrantRequest
        do { request = try LeaseGrantRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        // Without an id one is chosen here, the same on every member that applies the entry; only positive ones are given out.
        while request.id == 0 { request.id = Int64(bitPattern: member.nextRequestID() & 0x7fff_ffff_ffff_ffff) }
        propose(request.encoded(), as: .leaseGrant, stream)
    }

    private func revoke(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        propose([UInt8](message), as: .leaseRevoke, stream)
    }

    private func propose(_ payload: [UInt8], as kind: InternalRaftRequest.Payload, _ stream: GRPCStream) {
        let id = member.nextRequestID()
        let wrapped = payload.withUnsafeBytes { InternalRaftRequest.wrap($0, as: kind, id: id) }
        member.submit(.propose(payload: wrapped, id: id, afterCompaction: false)) { stream.answer($0) }
    }

    private func timeToLive(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: LeaseTimeToLiveRequest
        do { request = try LeaseTimeToLiveRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        member.submitToLeader(.leaseTimeToLive(request.id, keys: request.keys)) { [unowned self] answer in
            var response = LeaseTimeToLiveResponse(header: member.headerWithRevision, id: request.id)
            switch answer {
            case .leaseTimes(let remaining, let granted, let keys):
                response.ttl = remaining
                response.grantedTTL = granted
                response.keys = keys
            case .refused(.leaseNotFound): response.ttl = -1
            default: return stream.answer(answer)
            }
            stream.answer(response)
        }
    }

    private func list(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        member.submit(.listLeases) { [unowned self] answer in
            guard case .leases(let ids) = answer else { return stream.answer(answer) }
            stream.answer(LeaseLeasesResponse(header: member.headerWithRevision, leases: ids.map { LeaseStatus(id: $0) }))
        }
    }
}

/// `Lease.LeaseKeepAlive`: every message is answered by one, in order; a lease that is gone has 0 seconds left.
private final class KeepAliveHandler: GRPCStreamHandler {
    private let member: LoopMember

    init(_ member: LoopMember) { self.member = member }

    func received(_ message: UnsafeRawBufferPointer, on stream: GRPCStream) {
        // The stream may be older than the reason.
        if let refusal = member.published.status.refusalOfClients { return stream.finish(refusal) }
        let request: LeaseKeepAliveRequest
        do { request = try LeaseKeepAliveRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        let progress = progress(of: stream)
        progress.unanswered += 1
        member.submitToLeader(.renewLease(request.id)) { [unowned self] answer in
            var response = LeaseKeepAliveResponse(header: member.headerWithRevision, id: request.id)
            switch answer {
            case .leaseRenewed(let ttl): response.ttl = ttl
            case .refused(.leaseNotFound): response.ttl = 0
            case .refused(let error): return stream.refuse(error)
            default: return stream.answer(answer)
            }
            stream.send { response.encode(into: &$0) }
            progress.unanswered -= 1
            if progress.isHalfClosed, progress.unanswered == 0 { stream.finish() }
        }
    }

    /// A client that sends no more still gets every answer it asked for.
    func halfClosed(_ stream: GRPCStream) {
        let progress = progress(of: stream)
        progress.isHalfClosed = true
        if progress.unanswered == 0 { stream.finish() }
    }

    private final class Progress {
        var unanswered = 0
        var isHalfClosed = false
    }

    private func progress(of stream: GRPCStream) -> Progress {
        if let progress = stream.userData as? Progress { return progress }
        let progress = Progress()
        stream.userData = progress
        return progress
    }
}

extension LoopMember {
    /// Who answers, and the newest revision.
    var headerWithRevision: ResponseHeader {
        let published = published
        var header = published.status.header
        header.revision = published.view.currentRevision
        return header
    }

    /// Who answers, without a revision, as the cluster service has it.
    var header: ResponseHeader { published.status.header }
}
