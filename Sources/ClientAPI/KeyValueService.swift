import Bytes
import EtcdAPI
import GRPC
import Member
import MVCC
import StateMachine

/// `etcdserverpb.KV`.
final class KeyValueService {
    private let member: LoopMember
    private let limits: ClientLimits
    private(set) lazy var ranges: any GRPCStreamHandler = RangeHandler(member)
    private(set) lazy var puts = UnaryHandler { [unowned self] in put($0, $1) }
    private(set) lazy var deletions = UnaryHandler { [unowned self] in deleteRange($0, $1) }
    private(set) lazy var transactions = UnaryHandler { [unowned self] in transaction($0, $1) }
    private(set) lazy var compactions = UnaryHandler { [unowned self] in compact($0, $1) }

    init(_ member: LoopMember, _ limits: ClientLimits) {
        self.member = member
        self.limits = limits
    }

    private func put(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        do {
            let outline = try PutOutline(message)
            if let refusal = outline.refusal ?? whyNoRoom(outline.cost) { return stream.refuse(refusal) }
        } catch {
            return stream.refuseMalformed(error)
        }
        propose(message, as: .put, stream)
    }

    private func deleteRange(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        do {
            let request = try DeleteRangeRequest(decoding: message)
            try RequestCheck.deleteRange(request)
        } catch let error as EtcdError {
            return stream.refuse(error)
        } catch {
            return stream.refuseMalformed(error)
        }
        propose(message, as: .deleteRange, stream)
    }

    private func transaction(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: TxnRequest
        do {
            request = try TxnRequest(decoding: message)
            try RequestCheck.transaction(request, limit: limits.transactionOperations)
        } catch let error as EtcdError {
            return stream.refuse(error)
        } catch {
            return stream.refuseMalformed(error)
        }
        if let readOnly = ReadOnlyTransaction(request) {
            return member.whenReadable(serializable: readOnly.isSerializable, stream) { [unowned self] in
                answer(readOnly, stream)
            }
        }
        if let refusal = whyNoRoom(Quota.cost(request, countsNested: limits.behavesAsMinor >= 6)) {
            return stream.refuse(refusal)
        }
        propose(message, as: .txn, stream)
    }

    private func answer(_ transaction: ReadOnlyTransaction, _ stream: GRPCStream) {
        var output = ByteWriter(capacity: 1024)
        member.reading(stream) { reader, published in
            try transaction.encode(header: published.status.header, from: &reader, into: &output)
            output.withBytes { stream.sendEncoded($0) }
            stream.finish()
        }
    }

    private func compact(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: CompactionRequest
        do { request = try CompactionRequest(decoding: message) } catch { return stream.refuseMalformed(error) }
        propose(message, as: .compaction, stream, afterCompaction: request.physical)
    }

    private func propose(
        _ message: UnsafeRawBufferPointer, as kind: InternalRaftRequest.Payload, _ stream: GRPCStream,
        afterCompaction: Bool = false
    ) {
        if member.published.status.isRaised(.corrupt) { return stream.refuse(.corrupt) }
        let id = member.nextRequestID()
        let payload = InternalRaftRequest.wrap(message, as: kind, id: id)
        if payload.count > limits.requestBytes { return stream.refuse(.requestTooLarge) }
        member.submit(.propose(payload: payload, id: id, afterCompaction: afterCompaction)) { stream.answer($0) }
    }

    /// A write over the quota is refused before it costs the cluster anything, and the alarm is raised that tells everybody.
    private func whyNoRoom(_ cost: Int) -> EtcdError? {
        let status = member.published.status
        guard cost > 0, let quota = status.quota, status.pageFileSize + Int64(cost) >= quota else { return nil }
        if !status.isRaised(.nospace) { member.raiseNoSpace() }
        return .noSpace
    }
}

/// What has to be known of a put before it is proposed, read in place: the client's bytes go into the log as they came.
struct PutOutline {
    private(set) var cost = 0
    private(set) var refusal: EtcdError?

    init(_ message: UnsafeRawBufferPointer) throws(DecodeError) {
        var key = 0
        var value = 0
        var lease: Int64 = 0
        var ignoresValue = false
        var ignoresLease = false
        var reader = ByteReader(message)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: key = try reader.borrowedBytes(tag).count
            case 2: value = try reader.borrowedBytes(tag).count
            case 3: lease = try reader.int64(tag)
            case 4: _ = try reader.bool(tag)
            case 5: ignoresValue = try reader.bool(tag)
            case 6: ignoresLease = try reader.bool(tag)
            default: try reader.skip(tag)
            }
        }
        cost = Quota.keyValueOverhead + key + value
        if key == 0 {
            refusal = .emptyKey
        } else if ignoresValue, value > 0 {
            refusal = .valueProvided
        } else if ignoresLease, lease != 0 {
            refusal = .leaseProvided
        }
    }
}

extension LoopMember {
    /// Runs `body` once a read is as fresh as was asked for: at once where the published state is the newest there can be.
    func whenReadable(serializable: Bool, _ stream: GRPCStream, _ body: @escaping () -> Void) {
        let status = published.status
        if status.isRaised(.corrupt) { return stream.refuse(.corrupt) }
        if serializable || status.readsAreLinearizable { return body() }
        submit(.readIndex) { answer in
            if case .refused(let error) = answer { stream.refuse(error) } else { body() }
        }
    }

    /// Lends a reader and answers the errors of reading.
    func reading(_ stream: GRPCStream, _ body: (inout Reader, Published) throws -> Void) {
        do { try withReader(body) } catch StoreError.compacted {
            stream.refuse(.compacted)
        } catch StoreError.futureRevision {
            stream.refuse(.futureRevision)
        } catch {
            port.fail("\(error)")
            stream.refuse(.corrupt)
        }
    }

    func raiseNoSpace() {
        var request = InternalRaftRequest(header: RequestHeader(id: nextRequestID()))
        request.alarm = AlarmRequest(action: .activate, memberID: published.status.memberID, alarm: .nospace)
        submit(.propose(payload: request.encoded(), id: request.header!.id, afterCompaction: false)) { _ in }
    }
}
