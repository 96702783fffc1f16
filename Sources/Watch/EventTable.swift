import Bytes
import EtcdAPI
import MVCC

/// The events of one slice of history, each encoded once whoever watches: `mvccpb.Event` without and, where somebody asked
/// for it, with the previous key-value.
struct EventTable: ~Copyable {
    struct Place {
        let offset: Int
        let length: Int
    }

    private var bytes = ByteWriter(capacity: 4096)
    private var plain: [Place] = []
    private var withPrevious: [Place?] = []

    var count: Int { plain.count }
    var byteCount: Int { bytes.count }

    mutating func removeAll() {
        bytes.removeAll(keepingAtMost: 1 << 20)
        plain.removeAll(keepingCapacity: plain.count < 4096)
        withPrevious.removeAll(keepingCapacity: withPrevious.count < 4096)
    }

    /// Adds an event; for a deletion `stored` holds the key only, and the event carries the revision of the deletion.
    mutating func append(stored: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, deletedAt: Int64?) -> Int {
        plain.append(encode(stored, key, deletedAt, previous: nil))
        withPrevious.append(nil)
        return plain.count - 1
    }

    mutating func addPrevious(
        _ event: Int, stored: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, deletedAt: Int64?,
        previous: UnsafeRawBufferPointer?
    ) {
        guard withPrevious[event] == nil, let previous else { return }
        withPrevious[event] = encode(stored, key, deletedAt, previous: previous)
    }

    private mutating func encode(
        _ stored: UnsafeRawBufferPointer, _ key: UnsafeRawBufferPointer, _ deletedAt: Int64?, previous: UnsafeRawBufferPointer?
    ) -> Place {
        let start = bytes.count
        if let deletedAt {
            bytes.field(1, Int64(1))
            bytes.message(2) {
                $0.field(1, key)
                $0.field(3, deletedAt)
            }
        } else {
            bytes.required(2, stored)
        }
        if let previous { bytes.required(3, previous) }
        return Place(offset: start, length: bytes.count - start)
    }

    /// The encoded event, with its previous value when that was asked for and exists.
    func withEvent<R>(_ event: Int, previous: Bool, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let place = previous ? withPrevious[event] ?? plain[event] : plain[event]
        return bytes.withBytes { body(UnsafeRawBufferPointer(rebasing: $0[place.offset..<place.offset + place.length])) }
    }
}
