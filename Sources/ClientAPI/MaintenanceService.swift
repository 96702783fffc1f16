import Bytes
import EtcdAPI
import GRPC
import MVCC
import Member
import NIOCore
import Records

/// `etcdserverpb.Maintenance`, but for snapshots.
final class MaintenanceService {
    private let member: LoopMember
    private let limits: ClientLimits
    private let metrics: ClientMetrics
    private lazy var statuses = UnaryHandler { [unowned self] in status($0, $1) }
    private lazy var alarms = UnaryHandler { [unowned self] in alarm($0, $1) }
    private lazy var defragmentations = UnaryHandler { [unowned self] in defragment($0, $1) }
    private lazy var hashes = UnaryHandler { [unowned self] in hash($0, $1) }
    private lazy var keyValueHashes = UnaryHandler { [unowned self] in hashKeyValues($0, $1) }
    private lazy var leaderMoves = UnaryHandler { [unowned self] in moveLeader($0, $1) }
    private lazy var downgrades = UnaryHandler { [unowned self] in downgrade($0, $1) }
    /// Clients that were given a user all the same go on without one then.
    private let authentications = UnaryHandler { $1.refuse(.authNotEnabled) }
    private lazy var authStatuses = UnaryHandler { [unowned self] in authStatus($0, $1) }

    init(_ member: LoopMember, _ limits: ClientLimits, _ metrics: ClientMetrics) {
        self.metrics = metrics
        self.member = member
        self.limits = limits
    }

    func handler(_ procedure: Procedure) -> any GRPCStreamHandler {
        switch procedure {
        case .maintenanceAlarm: alarms
        case .maintenanceDefragment: defragmentations
        case .maintenanceHash: hashes
        case .maintenanceHashKV: keyValueHashes
        case .maintenanceMoveLeader: leaderMoves
        case .maintenanceDowngrade: downgrades
        case .authStatus: authStatuses
        case .authenticate: authentications
        default: statuses
        }
    }

    private func status(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let status = member.published.status
        var response = StatusResponse(header: member.headerWithRevision)
        response.version = limits.etcdVersion
        response.dbSize = status.pageFileSize
        response.leader = status.leader
        response.raftIndex = status.commitIndex
        response.raftTerm = status.term
        response.raftAppliedIndex = status.appliedIndex
        response.dbSizeInUse = status.pageFileSizeInUse
        response.isLearner = status.isLearner
        if !status.hasLeader { response.errors.append(EtcdError.noLeader.message) }
        if let stall = member.port.stall { response.errors.append(stall.reason) }
        for alarm in status.alarms { response.errors.append(alarm.text) }
        for difference in status.differences where difference.verdict != .alarm { response.errors.append(difference.text) }
        if limits.behavesAsMinor >= 6 {
            response.storageVersion = status.membership.clusterVersion.map(\.description) ?? ""
            response.dbSizeQuota = status.quota ?? 0
            response.downgradeInfo = DowngradeInfo(
                enabled: status.membership.downgrade?.isEnabled ?? false,
                targetVersion: status.membership.downgrade?.targetVersion ?? "")
        }
        stream.answer(response)
    }

    private func alarm(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let id = member.nextRequestID()
        let payload = InternalRaftRequest.wrap(message, as: .alarm, id: id)
        member.submit(.propose(payload: payload, id: id, afterCompaction: false)) { stream.answer($0) }
    }

    private func defragment(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let began = NIODeadline.now()
        metrics.defragmentationsInFlight.add(1)
        member.submit(.defragment) { [unowned self] answer in
            metrics.defragmentationsInFlight.add(-1)
            metrics.defragmentationDuration.observe(since: began)
            guard case .done = answer else { return stream.answer(answer) }
            stream.answer(DefragmentResponse())
        }
    }

    /// The whole page file but the applied index and term, as of a commit that holds everything applied so far.
    private func hash(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let began = NIODeadline.now()
        let duration = metrics.hashDuration
        member.submit(.commitPages) { [unowned self] answer in
            guard case .done = answer, let eventLoop = stream.eventLoop else { return stream.answer(answer) }
            let view = member.port.published.view
            let bound = NIOLoopBound((member, stream), eventLoop: eventLoop)
            member.port.background(on: eventLoop) { try view.hashPages() }.whenComplete { result in
                let (member, stream) = bound.value
                duration.observe(since: began)
                switch result {
                case .success(let hash):
                    var header = member.headerWithRevision
                    header.revision = view.currentRevision
                    stream.answer(HashResponse(header: header, hash: hash))
                case .failure(let error): stream.finish(GRPCStatus(.internal, "\(error)"))
                }
            }
        }
    }

    private func hashKeyValues(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: HashKVRequest
        do { request = try HashKVRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        let published = member.published
        // A finished compaction left the hash of its revision behind, for members that have compacted further since.
        if request.revision != 0, let stored = published.status.storedHashes.first(where: { $0.revision == request.revision }) {
            return answer(stored, stream)
        }
        guard let eventLoop = stream.eventLoop else { return }
        let began = NIODeadline.now()
        let bound = NIOLoopBound((self, stream), eventLoop: eventLoop)
        member.port.background(on: eventLoop) { try published.view.hashKeyValues(at: request.revision) }.whenComplete { result in
            let (service, stream) = bound.value
            service.metrics.hashByRevisionDuration.observe(since: began)
            switch result {
            case .success(let hash): service.answer(hash, stream)
            case .failure(StoreError.compacted): stream.refuse(.compacted)
            case .failure(StoreError.futureRevision): stream.refuse(.futureRevision)
            case .failure(let error): stream.finish(GRPCStatus(.internal, "\(error)"))
            }
        }
    }

    private func answer(_ hash: KeyValueHash, _ stream: GRPCStream) {
        var response = HashKVResponse(header: member.headerWithRevision)
        response.hash = hash.hash
        response.compactRevision = hash.compactRevision
        if limits.behavesAsMinor >= 6 { response.hashRevision = hash.revision }
        stream.answer(response)
    }

    private func moveLeader(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: MoveLeaderRequest
        do { request = try MoveLeaderRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        member.submit(.moveLeader(to: request.targetID)) { answer in
            guard case .done = answer else { return stream.answer(answer) }
            stream.answer(MoveLeaderResponse())
        }
    }

    private func authStatus(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        stream.answer(
            AuthStatusResponse(
                header: member.headerWithRevision, enabled: false, authRevision: member.published.status.authRevision))
    }

    private func downgrade(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: DowngradeRequest
        do { request = try DowngradeRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        switch request.action {
        case .cancel: member.whenCurrent(serializable: false, stream) { [unowned self] in cancelDowngrade(stream) }
        case .validate, .enable:
            guard let target = DowngradeTarget(request.version) else { return stream.refuse(.wrongDowngradeVersionFormat) }
            member.whenCurrent(serializable: false, stream) { [unowned self] in
                downgrade(to: target, enables: request.action == .enable, stream)
            }
        case .unrecognized: stream.finish(GRPCStatus(.unknown, "etcdserver: unknown method"))
        }
    }

    private func downgrade(to target: DowngradeTarget, enables: Bool, _ stream: GRPCStream) {
        let membership = member.published.status.membership
        guard let version = membership.clusterVersion else { return stream.refuse(.clusterVersionUnavailable) }
        // One minor release at a time is all that is ever allowed.
        guard target.major == version.major, target.minor == version.minor - 1 else {
            return stream.refuse(.invalidDowngradeTargetVersion)
        }
        if membership.downgrade?.isEnabled ?? false { return stream.refuse(.downgradeInProcess) }
        if enables { setDowngrade(true, "\(target.major).\(target.minor).0", stream) } else { answerDowngrade(stream) }
    }

    private func cancelDowngrade(_ stream: GRPCStream) {
        if member.published.status.membership.downgrade?.isEnabled ?? false { return setDowngrade(false, "", stream) }
        // From 3.6 on that there is nothing to cancel is no error.
        if limits.behavesAsMinor >= 6 { answerDowngrade(stream) } else { stream.refuse(.noInflightDowngrade) }
    }

    private func setDowngrade(_ enabled: Bool, _ version: String, _ stream: GRPCStream) {
        var request = InternalRaftRequest(header: RequestHeader(id: member.nextRequestID()))
        request.downgradeInfoSet = DowngradeInfoSetRequest(enabled: enabled, ver: version)
        member.submit(.propose(payload: request.encoded(), id: request.header!.id, afterCompaction: false)) {
            [unowned self] answer in
            guard case .applied(.response) = answer else { return stream.answer(answer) }
            answerDowngrade(stream)
        }
    }

    /// With the cluster's version, which is told with three numbers up to 3.5 and with two from 3.6 on.
    private func answerDowngrade(_ stream: GRPCStream) {
        let version = member.published.status.membership.clusterVersion
        let text = version.map { limits.behavesAsMinor >= 6 ? "\($0.major).\($0.minor)" : $0.description } ?? ""
        stream.answer(DowngradeResponse(header: member.headerWithRevision, version: text))
    }
}

/// A target such as "3.5" or "3.5.0".
private struct DowngradeTarget {
    let major: Int
    let minor: Int

    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard (2...3).contains(parts.count), let major = parts[0], let minor = parts[1], !parts.contains(nil) else { return nil }
        self.major = major
        self.minor = minor
    }
}

extension AlarmMember {
    /// As Go prints the message, which is what status answers carry.
    var text: String {
        let kind =
            switch alarm {
            case .nospace: "NOSPACE"
            case .corrupt: "CORRUPT"
            default: "NONE"
            }
        // Go leaves zeroes out.
        return (memberID == 0 ? "" : "memberID:\(memberID) ") + "alarm:\(kind) "
    }
}

extension DataDifference {
    /// For people: no alarm is raised, so this is all that says it.
    var text: String {
        let whom = "member \(MemberIdentity.text(member)) holds other data than "
        let place = " at revision \(revision), compacted at \(compactRevision)"
        return whom + (verdict == .undecided ? "the leader" : "the majority") + place
    }
}
