import Glibc

/// Values by revision that the page file has not committed yet: what a read of a recent revision finds.
///
/// Append-only, in ascending order of revision, at addresses that never change. One writer (the member thread) appends;
/// readers on other threads look only at the first `count` slots, where `count` was handed to them after those slots were
/// written and through a lock (the publication of a read view), which is the proof behind `@unchecked Sendable`.
public final class RevisionBatch: @unchecked Sendable {
    /// One value: 24 bytes, and a pointer into the batch's own arena.
    public struct Slot {
        public let main: Int64
        @usableFromInline let subAndMark: UInt32
        @usableFromInline let length: UInt32
        @usableFromInline let bytes: UnsafeRawPointer

        @inlinable
        init(main: Int64, subAndMark: UInt32, length: UInt32, bytes: UnsafeRawPointer) {
            self.main = main
            self.subAndMark = subAndMark
            self.length = length
            self.bytes = bytes
        }

        @inlinable public var sub: Int64 { Int64(subAndMark & 0x7fff_ffff) }
        @inlinable public var isTombstone: Bool { subAndMark & 0x8000_0000 != 0 }
        /// The encoded `mvccpb.KeyValue`.
        @inlinable public var value: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: bytes, count: Int(length)) }
    }

    /// Slots a batch holds at most: etcd's `backend-batch-limit`.
    public static let slotLimit = 10_000
    /// Bytes of values after which a batch counts as full.
    public static let byteLimit = 16 << 20
    private static let firstChunk = 64 << 10
    private static let laterChunk = 1 << 20

    @usableFromInline let slots: UnsafeMutablePointer<Slot>
    /// Slots in use; only the writer reads this, readers have their own count.
    public private(set) var count = 0
    public private(set) var byteCount = 0
    private var chunks: [UnsafeMutableRawPointer] = []
    private var free: UnsafeMutableRawPointer?
    private var freeCount = 0

    public init() {
        slots = .allocate(capacity: RevisionBatch.slotLimit)
    }

    deinit {
        slots.deallocate()
        for chunk in chunks { chunk.deallocate() }
    }

    public var isFull: Bool { count == RevisionBatch.slotLimit || byteCount >= RevisionBatch.byteLimit }

    /// Room for the value of the next revision; the caller fills all of it before the batch is published.
    public func append(main: Int64, sub: Int64, tombstone: Bool, length: Int) -> UnsafeMutableRawBufferPointer {
        precondition(count < RevisionBatch.slotLimit, "a full batch takes no more")
        precondition(sub >= 0 && sub < 0x8000_0000, "a transaction holds fewer than 2^31 changes")
        let room = allocate(length)
        let mark: UInt32 = tombstone ? 0x8000_0000 : 0
        (slots + count).initialize(
            to: Slot(main: main, subAndMark: UInt32(sub) | mark, length: UInt32(length), bytes: UnsafeRawPointer(room)))
        count += 1
        byteCount += length
        return UnsafeMutableRawBufferPointer(start: room, count: length)
    }

    private func allocate(_ length: Int) -> UnsafeMutableRawPointer {
        if length > freeCount {
            let usual = chunks.isEmpty ? RevisionBatch.firstChunk : RevisionBatch.laterChunk
            let size = max(usual, length)
            let chunk = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
            chunks.append(chunk)
            // A value with a chunk of its own leaves the current chunk in use.
            if size > usual { return chunk }
            free = chunk
            freeCount = size
        }
        let room = free!
        free = room + length
        freeCount -= length
        return room
    }
}
