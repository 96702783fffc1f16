import Bytes
import EtcdAPI
import MVCC

/// How deep a response's header goes: whole at the top, only the revision inside a transaction.
enum ResponsePlace {
    case top
    case insideTransaction
}

extension StateMachine {
    func put(_ request: PutRequest, isTopLevel: Bool = true) throws(StoreError) -> ApplyReply {
        if alarms.isRaised(.nospace) { return .refused(.noSpace) }
        let fits = hasRoom(for: Quota.cost(request))
        if request.lease != 0, !leases.contains(request.lease) { return .refused(.leaseNotFound) }
        var transaction = WriteTransaction(store)
        scratch.removeAll(keepingAtMost: 1 << 20)
        let refusal = try put(request, &transaction, .top, into: &scratch)
        transaction.finish()
        if let refusal { return .refused(refusal) }
        // Over the quota the write is kept, as it is on every member, but its author learns that there is no room.
        return fits ? .response(scratch.array()) : .refused(.noSpace)
    }

    /// Stores one value inside a transaction and encodes its `PutResponse`; a refusal leaves nothing behind.
    private func put(
        _ request: PutRequest, _ transaction: inout WriteTransaction, _ place: ResponsePlace, into writer: inout ByteWriter
    ) throws(StoreError) -> EtcdError? {
        var previous: UnsafeRawBufferPointer?
        var value = request.value
        var lease = request.lease
        if request.ignoreValue || request.ignoreLease || request.prevKv {
            var reader = try transaction.reader()
            let at = transaction.readRevision
            previous = try request.key.withBytes { key throws(StoreError) in try reader.get(key, at: at) }
        }
        if request.ignoreValue || request.ignoreLease {
            guard let previous else { return .keyNotFound }
            let row = try parse(previous)
            if request.ignoreValue { value = [UInt8](row.value) }
            if request.ignoreLease { lease = row.lease }
        }
        let revision = value.withUnsafeBytes { transaction.put(request.key, value: $0, lease: lease) }
        counts.puts += 1
        counts.putBytes += UInt64(request.key.count + value.count)
        leases.move(request.key, to: lease)
        encodeHeader(place, revision: revision, into: &writer)
        if request.prevKv, let previous { writer.required(2, previous) }
        return nil
    }

    func deleteRange(_ request: DeleteRangeRequest) throws(StoreError) -> ApplyReply {
        var transaction = WriteTransaction(store)
        scratch.removeAll(keepingAtMost: 1 << 20)
        try deleteRange(request, &transaction, .top, into: &scratch)
        transaction.finish()
        return .response(scratch.array())
    }

    private func deleteRange(
        _ request: DeleteRangeRequest, _ transaction: inout WriteTransaction, _ place: ResponsePlace,
        into writer: inout ByteWriter
    ) throws(StoreError) {
        let range = KeyRange(key: request.key, rangeEnd: request.rangeEnd)
        var previous = ByteWriter(capacity: 16)
        if request.prevKv {
            var reader = try transaction.reader()
            try reader.forEachValue(in: range, at: transaction.readRevision) { previous.required(3, $0) }
        }
        let deleted = transaction.delete(range)
        for key in deleted { leases.move(key, to: 0) }
        counts.deletes += 1
        encodeHeader(place, revision: transaction.readRevision, into: &writer)
        writer.field(2, Int64(deleted.count))
        previous.withBytes { writer.append($0) }
    }

    func transaction(_ request: TxnRequest) throws(StoreError) -> ApplyReply {
        let cost = Quota.cost(request, countsNested: membership.isAtLeast(3, 6))
        if alarms.isRaised(.nospace), cost > 0 { return .refused(.noSpace) }
        let fits = cost == 0 || hasRoom(for: cost)
        var reader = try store.liveReader()
        var path = try TransactionPath.decide(request, &reader, current: store.currentRevision)
        for checks in TransactionChecks.passes(membership) {
            if let refusal = try whyNot(request, checks, &path, &reader) { return .refused(refusal) }
            path.rewind()
        }
        let operations = counts.operations
        var body = ByteWriter(capacity: 256)
        var transaction = WriteTransaction(store)
        try execute(request, &path, &transaction, into: &body)
        if counts.operations > operations + 1 { counts.transactions += 1 }
        let revision = transaction.readRevision
        transaction.finish()
        guard fits else { return .refused(.noSpace) }
        return respond { writer in
            encodeHeader(.top, revision: revision, into: &writer)
            body.withBytes { writer.append($0) }
        }
    }

    /// Everything that could fail is checked along the chosen path before anything is changed.
    private func whyNot(
        _ request: TxnRequest, _ checks: TransactionChecks, _ path: inout TransactionPath, _ reader: inout Reader
    ) throws(StoreError) -> EtcdError? {
        for operation in path.take() ? request.success : request.failure {
            switch operation.request {
            case .requestPut(let put) where checks.contains(.puts):
                if let refusal = try whyNot(put, &reader) { return refusal }
            case .requestRange(let range) where checks.contains(.ranges):
                if range.revision > store.currentRevision { return .futureRevision }
                if range.revision != 0, range.revision < store.compactRevision { return .compacted }
            case .requestTxn(let nested):
                if let refusal = try whyNot(nested, checks, &path, &reader) { return refusal }
            case .requestPut, .requestRange, .requestDeleteRange, nil: break
            }
        }
        return nil
    }

    private func whyNot(_ put: PutRequest, _ reader: inout Reader) throws(StoreError) -> EtcdError? {
        let hasNoLease = put.lease != 0 && !leases.contains(put.lease)
        // From 3.7 on etcd asks for the lease before it asks for the key.
        if hasNoLease, membership.isAtLeast(3, 7) { return .leaseNotFound }
        if put.ignoreValue || put.ignoreLease {
            let current = store.currentRevision
            let previous = try put.key.withBytes { key throws(StoreError) in try reader.get(key, at: current) }
            if previous == nil { return .keyNotFound }
        }
        return hasNoLease ? .leaseNotFound : nil
    }

    /// Encodes everything of a `TxnResponse` after its header.
    private func execute(
        _ request: TxnRequest, _ path: inout TransactionPath, _ transaction: inout WriteTransaction,
        into writer: inout ByteWriter
    ) throws(StoreError) {
        let succeeded = path.take()
        writer.field(2, succeeded)
        for operation in succeeded ? request.success : request.failure {
            try writer.message(3) { writer throws(StoreError) in
                try execute(operation, &path, &transaction, into: &writer)
            }
        }
    }

    private func execute(
        _ operation: RequestOp, _ path: inout TransactionPath, _ transaction: inout WriteTransaction,
        into writer: inout ByteWriter
    ) throws(StoreError) {
        switch operation.request {
        case .requestRange(let range):
            var reader = try transaction.reader()
            let current = transaction.readRevision
            counts.ranges += 1
            try writer.message(1) { writer throws(StoreError) in
                try RangeQuery(range).encode(header: ResponseHeader(), from: &reader, current: current, into: &writer)
            }
        case .requestPut(let put):
            try writer.message(2) { writer throws(StoreError) in
                let refusal = try self.put(put, &transaction, .insideTransaction, into: &writer)
                precondition(refusal == nil, "a transaction's puts are checked before it begins")
            }
        case .requestDeleteRange(let delete):
            try writer.message(3) { writer throws(StoreError) in
                try deleteRange(delete, &transaction, .insideTransaction, into: &writer)
            }
        case .requestTxn(let nested):
            try writer.message(4) { writer throws(StoreError) in
                writer.message(1) { _ in }
                try execute(nested, &path, &transaction, into: &writer)
            }
        case nil: break
        }
    }

    private func encodeHeader(_ place: ResponsePlace, revision: Int64, into writer: inout ByteWriter) {
        var header = place == .top ? self.header : ResponseHeader()
        header.revision = revision
        writer.message(1) { header.encode(into: &$0) }
    }

    func hasRoom(for cost: Int) -> Bool {
        guard let quota = settings.quota else { return true }
        return pageFileSize + Int64(cost) < quota
    }

    private func parse(_ stored: UnsafeRawBufferPointer) throws(StoreError) -> StoredKeyValue {
        do throws(DecodeError) { return try StoredKeyValue(stored) } catch {
            throw .corrupt("a stored key-value cannot be decoded: \(error)")
        }
    }
}
