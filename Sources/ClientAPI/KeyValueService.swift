import Bytes
import EtcdAPI
import GRPC
import MVCC
import Member
import StateMachine

/// `etcdserverpb.KV`.
final class KeyValueService {
    private let member: LoopMember
    private let limits: ClientLimits
    private let counts: LoopCounts
    private(set) lazy var ranges: any GRPCStreamHandler = RangeHandler(
        member, counts, checksSortOptions: limits.behavesAsMinor >= 6)
    private(set) lazy var puts = UnaryHandler { [unowned self] in put($0, $1) }
    private(set) lazy var deletions = UnaryHandler { [unowned self] in deleteRange($0, $1) }
    private(set) lazy var transactions = UnaryHandler { [unowned self] in transaction($0, $1) }
    private(set) lazy var compactions = UnaryHandler { [unowned self] in compact($0, $1) }

    init(_ member: LoopMember, _ limits: ClientLimits, _ counts: LoopCounts) {
        self.counts = counts
        self.member = member
        self.limits = limits
    }

    private func put(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        do {
            let request = try BorrowedPutRequest(message)
            try RequestCheck.put(request)
            if let refusal = whyNoRoom(Quota.cost(request)) { return stream.refuse(refusal) }
            if request.isCanonical { return propose(message, as: .put, stream) }
            try PutRequest(decoding: message).encoded().withUnsafeBytes { propose($0, as: .put, stream) }
        } catch let error as EtcdError {
            stream.refuse(error)
        } catch {
            stream.refuseMalformed(error)
        }
    }

    private func deleteRange(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        do {
            let request = try DeleteRangeRequest(decoding: message)
            try RequestCheck.deleteRange(request)
            if CanonicalForm.holds(message, as: .deleteRange) { return propose(message, as: .deleteRange, stream) }
            request.encoded().withUnsafeBytes { propose($0, as: .deleteRange, stream) }
        } catch let error as EtcdError {
            stream.refuse(error)
        } catch {
            stream.refuseMalformed(error)
        }
    }

    private func transaction(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let request: TxnRequest
        do {
            request = try TxnRequest(decoding: message)
            try RequestCheck.transaction(
                request, limit: limits.transactionOperations, sortOptions: limits.behavesAsMinor >= 6)
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
        if let sheltered = ShelteredTransaction(request) {
            return sheltered.request.encoded().withUnsafeBytes { propose($0, as: .txn, stream, sheltered: sheltered) }
        }
        // Repeated fields are read differently by Go's decoders of different releases, so such bytes must not enter the log.
        if CanonicalForm.holds(message, as: .txn) { return propose(message, as: .txn, stream) }
        request.encoded().withUnsafeBytes { propose($0, as: .txn, stream) }
    }

    private func answer(_ transaction: ReadOnlyTransaction, _ stream: GRPCStream) {
        var output = ByteWriter(capacity: 1024)
        member.reading(stream) { reader, published in
            let ranges = try transaction.encode(header: published.status.header, from: &reader, into: &output)
            counts.countTransaction(ofRanges: ranges)
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
        afterCompaction: Bool = false, sheltered: ShelteredTransaction? = nil
    ) {
        if member.published.status.isRaised(.corrupt) { return stream.refuse(.corrupt) }
        let id = member.nextRequestID()
        let payload = InternalRaftRequest.wrap(message, as: kind, id: id)
        if payload.count > limits.requestBytes { return stream.refuse(.requestTooLarge) }
        // Transactions may read, and deletions remove, a great many keys.
        member.submit(.propose(payload: payload, id: id, afterCompaction: afterCompaction), isShortWrite: kind == .put) {
            answer in
            if let sheltered, case .applied(.response(let bytes)) = answer, let response = try? TxnResponse(decoding: bytes) {
                stream.answer(sheltered.answer(response))
            } else {
                stream.answer(answer)
            }
        }
    }

    /// A write over the quota is refused before it costs the cluster anything, and the alarm is raised that tells everybody.
    private func whyNoRoom(_ cost: Int) -> EtcdError? {
        let status = member.published.status
        guard cost > 0, let quota = status.quota, status.pageFileSize + Int64(cost) >= quota else { return nil }
        if !status.isRaised(.nospace) { member.raiseNoSpace() }
        return .noSpace
    }
}

extension LoopMember {
    /// Runs `body` as ``whenCurrent(serializable:_:_:)`` does, unless what this member stores is known to be wrong: then nothing of it
    /// is shown. etcd shows it.
    func whenReadable(serializable: Bool, _ stream: GRPCStream, _ body: @escaping () -> Void) {
        if published.status.isKnownCorrupt { return stream.refuse(.corrupt) }
        whenCurrent(serializable: serializable, stream, body)
    }

    /// Runs `body` once a read is as fresh as was asked for: at once where the published state is the newest there can be.
    func whenCurrent(serializable: Bool, _ stream: GRPCStream, _ body: @escaping () -> Void) {
        if serializable || published.status.readsAreLinearizable && port.stall == nil { return body() }
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
