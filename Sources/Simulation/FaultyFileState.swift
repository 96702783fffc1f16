import Host

/// One file of a ``FaultyDisk``: what readers see, what a crash cannot take, and the changes in between.
struct FaultyFileState: Sendable {
    private(set) var live = FileImage()
    private(set) var durable = FileImage()
    private var changes: [Change] = []

    private struct Change {
        let effect: Effect
        var fate = Fate.unsynced
    }

    private enum Effect {
        case bytes([UInt8], offset: Int)
        case size(Int)
    }

    private enum Fate {
        case unsynced
        /// A sync failed over it. The kernel may have dropped the page: later syncs say nothing about it.
        case uncertain
        /// Synced after a change that is uncertain.
        case durable
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        guard !bytes.isEmpty else { return }
        live.write(bytes, at: offset)
        changes.append(Change(effect: .bytes([UInt8](bytes), offset: offset)))
    }

    mutating func setSize(_ size: Int) {
        live.setSize(size)
        changes.append(Change(effect: .size(size)))
    }

    mutating func sync() {
        if !changes.contains(where: { $0.fate == .uncertain }) {
            // Not a copy of the whole, whose every chunk the next write would have to part from.
            for change in changes { apply(change.effect) }
            changes = []
        } else {
            for index in changes.indices where changes[index].fate == .unsynced { changes[index].fate = .durable }
        }
    }

    mutating func syncFailed() {
        for index in changes.indices where changes[index].fate == .unsynced { changes[index].fate = .uncertain }
    }

    /// Replaces the content for good, past all syncs: a bad sector, a stray hand.
    mutating func replace(_ bytes: [UInt8]) {
        live = FileImage(bytes)
        durable = live
        changes = []
    }

    mutating func crash(_ unsynced: UnsyncedWrites, _ random: inout SeededRandom) {
        let mode = unsynced.drawn(&random)
        let survivors = mode.survivors(changes.count, &random)
        for (change, survives) in zip(changes, survivors) {
            if change.fate == .durable {
                apply(change.effect)
            } else if survives {
                if mode == .torn { applyTorn(change.effect, &random) } else { apply(change.effect) }
            }
        }
        live = durable
        changes = []
    }

    private mutating func apply(_ effect: Effect) {
        switch effect {
        case .size(let size): durable.setSize(size)
        case .bytes(let bytes, let offset): bytes.withUnsafeBytes { durable.write($0, at: offset) }
        }
    }

    private mutating func applyTorn(_ effect: Effect, _ random: inout SeededRandom) {
        switch effect {
        case .size(let size):
            if Bool.random(using: &random) { durable.setSize(size) }
        case .bytes(let bytes, let offset):
            // The new size and the new bytes reach the disk separately.
            let end = offset + bytes.count
            if end > durable.size, Bool.random(using: &random) { durable.setSize(end) }
            var start = 0
            while start < bytes.count {
                let toBoundary = sectorSize - (offset + start) % sectorSize
                let next = min(bytes.count, start + toBoundary)
                if Bool.random(using: &random) { bytes[start..<next].withUnsafeBytes { durable.write($0, at: offset + start) } }
                start = next
            }
        }
    }
}

/// What disks write all or nothing of.
private let sectorSize = 512
