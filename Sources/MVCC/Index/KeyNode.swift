/// One node of the key index: a single allocation of raw memory, trivially copyable.
///
///     header (40 bytes) | slots in key order, 8 bytes each -> | free | <- entries in the order they came
///
/// A slot holds the four bytes of its key that follow the prefix all keys of the node share (its head), and the offset of
/// its entry: a search compares heads, which lie side by side, and opens an entry only where heads are equal.
///
///     leaf entry:  modified 8 | created 8 | version 8 | sub and tombstone bit 4 | history 4 | key length 4 | key
///     inner entry: child 8 | newest modified main of the subtree 8 | live keys of the subtree 4 | key length 4 | key
///
/// An inner node's entry 0 has no key: its subtree holds everything below the key of entry 1. Entries start at multiples of
/// four bytes. Only the writer changes a node, and only one that no snapshot reaches; see ``KeyIndex``.
struct KeyNode: Equatable {
    let base: UnsafeMutableRawPointer

    static let headerBytes = 40
    static let slotBytes = 8

    // MARK: Header

    /// The epoch the node was made in: a snapshot of an older epoch does not reach it.
    var epoch: UInt64 {
        get { base.load(fromByteOffset: 0, as: UInt64.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 0, as: UInt64.self) }
    }
    /// Chains retired nodes. Readers never look at it, so the writer may set it while they walk the node.
    var nextRetired: KeyNode? {
        get { base.load(fromByteOffset: 8, as: UnsafeMutableRawPointer?.self).map(KeyNode.init(base:)) }
        nonmutating set { base.storeBytes(of: newValue?.base, toByteOffset: 8, as: UnsafeMutableRawPointer?.self) }
    }
    /// Bytes of the allocation.
    var capacity: Int {
        get { Int(base.load(fromByteOffset: 16, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 16, as: UInt32.self) }
    }
    /// Offset of the lowest entry: entries lie between it and `capacity`.
    var entriesStart: Int {
        get { Int(base.load(fromByteOffset: 20, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 20, as: UInt32.self) }
    }
    var count: Int {
        get { Int(base.load(fromByteOffset: 24, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 24, as: UInt32.self) }
    }
    /// Length of the prefix that all keys of the node share.
    var prefixLength: Int {
        get { Int(base.load(fromByteOffset: 28, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 28, as: UInt32.self) }
    }
    /// Distance to the leaves.
    var level: Int {
        get { Int(base.load(fromByteOffset: 32, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 32, as: UInt32.self) }
    }
    /// The slot after the one filled last: an insertion there continues an ascending run.
    var expectedInsertion: Int {
        get { Int(base.load(fromByteOffset: 36, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 36, as: UInt32.self) }
    }

    @inline(__always) var isLeaf: Bool { level == 0 }
    /// The first slot that has a key.
    @inline(__always) var firstKeyed: Int { isLeaf ? 0 : 1 }
    /// Bytes between slots and entries.
    var freeBytes: Int { entriesStart - KeyNode.headerBytes - count * KeyNode.slotBytes }
    /// Bytes of header, slots and entries.
    var usedBytes: Int { capacity - freeBytes }

    // MARK: Slots

    @inline(__always)
    func slotAddress(_ slot: Int) -> UnsafeMutableRawPointer { base + (KeyNode.headerBytes + slot * KeyNode.slotBytes) }

    @inline(__always)
    func head(_ slot: Int) -> UInt32 { slotAddress(slot).load(as: UInt32.self) }

    @inline(__always)
    func setHead(_ slot: Int, _ head: UInt32) { slotAddress(slot).storeBytes(of: head, as: UInt32.self) }

    @inline(__always)
    func entry(_ slot: Int) -> UnsafeMutableRawPointer {
        base + Int(slotAddress(slot).load(fromByteOffset: 4, as: UInt32.self))
    }

    // MARK: Entries

    /// Bytes of an entry before its key length.
    @inline(__always) var fixedBytes: Int { isLeaf ? LeafFields.bytes : InnerFields.bytes }

    /// Bytes an entry takes, without its slot.
    static func entryBytes(level: Int, keyLength: Int) -> Int {
        ((level == 0 ? LeafFields.bytes : InnerFields.bytes) + 4 + keyLength + 3) & ~3
    }

    func entryBytes(_ slot: Int) -> Int { KeyNode.entryBytes(level: level, keyLength: key(slot).count) }

    @inline(__always)
    func key(_ slot: Int) -> KeyBytes {
        let length = entry(slot) + fixedBytes
        return KeyBytes(start: length + 4, count: Int(length.load(as: UInt32.self)))
    }

    @inline(__always)
    func leafKey(_ slot: Int) -> KeyBytes {
        let length = entry(slot) + LeafFields.bytes
        return KeyBytes(start: length + 4, count: Int(length.load(as: UInt32.self)))
    }

    @inline(__always) func leaf(_ slot: Int) -> LeafFields { LeafFields(base: entry(slot)) }
    @inline(__always) func inner(_ slot: Int) -> InnerFields { InnerFields(base: entry(slot)) }

    /// What an inner entry says of this node's subtree.
    func summary() -> SubtreeSummary {
        var summary = SubtreeSummary(live: 0, newest: 0)
        for slot in 0..<count {
            if isLeaf {
                let fields = leaf(slot)
                summary.add(live: fields.isTombstone ? 0 : 1, newest: fields.main)
            } else {
                let fields = inner(slot)
                summary.add(live: fields.live, newest: fields.newest)
            }
        }
        return summary
    }
}

/// How many keys of a subtree are live, and the newest main revision in it.
struct SubtreeSummary {
    var live: Int
    var newest: Int64

    mutating func add(live: Int, newest: Int64) {
        self.live += live
        self.newest = max(self.newest, newest)
    }
}

/// The part of a leaf entry before its key.
struct LeafFields {
    let base: UnsafeMutableRawPointer
    static let bytes = 32
    static let tombstoneBit: UInt32 = 1 << 31

    var main: Int64 {
        get { base.loadUnaligned(fromByteOffset: 0, as: Int64.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 0, as: Int64.self) }
    }
    /// Main revision of the generation's first put; 0 for a tombstone.
    var created: Int64 {
        get { base.loadUnaligned(fromByteOffset: 8, as: Int64.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 8, as: Int64.self) }
    }
    var version: Int64 {
        get { base.loadUnaligned(fromByteOffset: 16, as: Int64.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 16, as: Int64.self) }
    }
    var subAndTombstone: UInt32 {
        get { base.load(fromByteOffset: 24, as: UInt32.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 24, as: UInt32.self) }
    }
    /// The key's next older revision in ``KeyHistory``; 0: none.
    var history: UInt32 {
        get { base.load(fromByteOffset: 28, as: UInt32.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 28, as: UInt32.self) }
    }

    var isTombstone: Bool { subAndTombstone & LeafFields.tombstoneBit != 0 }

    func store(_ revision: Revision, created: Int64, version: Int64, tombstone: Bool) {
        main = revision.main
        self.created = created
        self.version = version
        subAndTombstone = UInt32(revision.sub) | (tombstone ? LeafFields.tombstoneBit : 0)
    }

    var state: KeyState {
        let bits = subAndTombstone
        return KeyState(
            revision: Revision(main: main, sub: Int64(bits & ~LeafFields.tombstoneBit)), created: created, version: version,
            isTombstone: bits & LeafFields.tombstoneBit != 0, isNewest: true)
    }
}

/// The part of an inner entry before its key.
struct InnerFields {
    let base: UnsafeMutableRawPointer
    static let bytes = 20

    var child: KeyNode {
        get { KeyNode(base: base.loadUnaligned(fromByteOffset: 0, as: UnsafeMutableRawPointer.self)) }
        nonmutating set { base.storeBytes(of: newValue.base, toByteOffset: 0, as: UnsafeMutableRawPointer.self) }
    }
    var newest: Int64 {
        get { base.loadUnaligned(fromByteOffset: 8, as: Int64.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 8, as: Int64.self) }
    }
    var live: Int {
        get { Int(base.load(fromByteOffset: 16, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 16, as: UInt32.self) }
    }

    func store(child: KeyNode, _ summary: SubtreeSummary) {
        self.child = child
        newest = summary.newest
        live = summary.live
    }
}
