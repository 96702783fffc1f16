import Bytes

/// A change of the `lease` bucket: keys are ids, 8 bytes big endian; values leasepb.Lease (ID 1, TTL 2, RemainingTTL 3).
public enum LeaseChange: Equatable, Sendable {
    case put(key: [UInt8], value: [UInt8])
    case delete(key: [UInt8])
}

/// What is kept on disk. Keys attached to leases are not: they are found again with the key-values.
extension LeaseTable {
    /// Changes of the bucket since the last call, in order.
    public mutating func takeChanges() -> [LeaseChange] {
        defer { changes.removeAll(keepingCapacity: true) }
        return changes
    }

    /// Takes over a value of the bucket, before this member leads.
    public mutating func restore(_ record: UnsafeRawBufferPointer) throws(DecodeError) {
        precondition(!isLeading, "leases are restored before any of them can end")
        var id: Int64 = 0
        var ttl: Int64 = 0
        var remainingTTL: Int64 = 0
        var reader = ByteReader(record)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.int64(tag)
            case 2: ttl = try reader.int64(tag)
            case 3: remainingTTL = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
        guard id != 0 else { throw .invalid("a lease without id") }
        guard ttl <= LeaseTable.largestTTL else { throw .invalid("lease \(id) with a time to live of \(ttl) s") }
        guard places[id] == nil else { throw .invalid("lease \(id) twice") }
        add(Lease(id: id, ttl: max(ttl, smallestTTL), remainingTTL: remainingTTL))
    }

    mutating func store(_ lease: Lease) {
        var writer = ByteWriter(capacity: 32)
        writer.field(1, lease.id)
        writer.field(2, lease.ttl)
        writer.field(3, lease.remainingTTL)
        changes.append(.put(key: LeaseTable.key(lease.id), value: writer.array()))
    }

    mutating func storeRemoval(of id: Int64) { changes.append(.delete(key: LeaseTable.key(id))) }

    private static func key(_ id: Int64) -> [UInt8] {
        var writer = ByteWriter(capacity: 8)
        writer.appendBigEndian(id)
        return writer.array()
    }
}
