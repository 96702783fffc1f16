import Bytes
import Host

/// What was left of each lease when its member stopped in good order.
///
/// In the log every lease has its whole time then, because Go members misread remaining times: a directory that was stopped can be
/// given to etcd. These are kept beside it, in a place etcd does not look at, and count only if the log did not go on since.
public struct LeaseRemainders: Equatable, Sendable {
    public struct Item: Equatable, Sendable {
        public let id: Int64
        public let seconds: Int64

        public init(id: Int64, seconds: Int64) {
            self.id = id
            self.seconds = seconds
        }
    }

    /// The last entry applied before the stop.
    public let index: UInt64
    public let items: [Item]

    public init(index: UInt64, items: [Item]) {
        self.index = index
        self.items = items
    }

    /// A protobuf message: the index in field 1, each lease in field 2 with its id (1) and seconds (2).
    public var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 16 + 24 * items.count)
        writer.field(1, index)
        for item in items {
            writer.message(2) {
                $0.field(1, item.id)
                $0.field(2, item.seconds)
            }
        }
        return writer.array()
    }

    public init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var index: UInt64 = 0
        var items: [Item] = []
        var reader = ByteReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: index = try reader.uint64(tag)
            case 2: items.append(try Item(decoding: try reader.borrowedBytes(tag)))
            default: try reader.skip(tag)
            }
        }
        self.init(index: index, items: items)
    }
}

extension LeaseRemainders.Item {
    fileprivate init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var id: Int64 = 0
        var seconds: Int64 = 0
        var reader = ByteReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.int64(tag)
            case 2: seconds = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
        self.init(id: id, seconds: seconds)
    }
}

extension LeaseTable {
    /// What is left of every lease that has less than its whole time, by id; none on a member that does not lead.
    public func remainders(now: Instant) -> [LeaseRemainders.Item] {
        leases.compactMap { lease in
            guard let expiry = lease.expiry else { return nil }
            // Whatever is about to end has a moment left: ending is the log's to tell.
            let left = max(1, LeaseTable.wholeSeconds((expiry - now).nanoseconds))
            return left < lease.ttl ? LeaseRemainders.Item(id: lease.id, seconds: left) : nil
        }
        .sorted { $0.id < $1.id }
    }

    /// Leases that a checkpoint left less than their whole time, at most `limit`, by id.
    public func checkpointed(limit: Int) -> [Int64] {
        guard checkpointedCount > 0 else { return [] }
        return Array(leases.filter { $0.remainingTTL > 0 }.map(\.id).sorted().prefix(limit))
    }

    /// Takes over what was left at the last stop, before this member leads.
    public mutating func take(_ remainders: [LeaseRemainders.Item]) {
        precondition(!isLeading, "remaining times are taken over before any lease can end")
        for item in remainders where item.seconds > 0 {
            guard let place = places[item.id] else { continue }
            setRemaining(at: place, min(item.seconds, leases[place].ttl))
        }
    }

    mutating func setRemaining(at place: Int, _ seconds: Int64) {
        if leases[place].remainingTTL > 0 { checkpointedCount -= 1 }
        leases[place].remainingTTL = seconds
        if seconds > 0 { checkpointedCount += 1 }
    }
}
