import Glibc

/// The writer's side of the older revisions: hands out records, takes them back, gives empty chunks back to the system.
struct KeyHistorySlab: ~Copyable {
    let table: KeyHistoryTable
    private let memory: KeyIndexMemory
    private var chunks: [Chunk] = []
    /// Chunks with room. May name a chunk that has been given back since.
    private var roomy: [UInt32] = []
    /// Numbers of chunks given back.
    private var vacant: [UInt32] = []
    private var current: Int?
    private(set) var records = 0

    /// What the writer knows of a chunk. `ends` has a bit for each record: set when the list ends there although the record
    /// names a next one, which was dropped by compaction. It lies here because readers may be looking at the record.
    private struct Chunk {
        var used = 0
        var live = 0
        var free: UInt32 = 0
        var isRoomy = false
        var ends: [UInt64] = Array(repeating: 0, count: KeyHistoryTable.recordsPerChunk / 64)
    }

    init(memory: KeyIndexMemory) {
        self.memory = memory
        // calloc leaves pages alone that nobody touches: the table costs address space, not memory.
        let bytes = calloc(KeyHistoryTable.maximumChunks, MemoryLayout<UnsafeMutableRawPointer?>.stride)
        guard let bytes else { preconditionFailure("no address space for the key index's chunk table") }
        table = KeyHistoryTable(chunks: bytes.assumingMemoryBound(to: UnsafeMutablePointer<KeyHistoryRecord>?.self))
    }

    deinit {
        for chunk in chunks.indices {
            guard let address = table.chunks[chunk] else { continue }
            address.deallocate()
            memory.addHistory(-KeyHistoryTable.chunkBytes)
        }
        Glibc.free(table.chunks)
    }

    /// Puts a revision on top of the list that starts at `first`; returns the new start. Takes O(log n) plain arithmetic, no
    /// walk. `floor`: the compaction revision, at or below which records may be gone.
    mutating func push(main: Int64, subAndTombstone: UInt32, on first: UInt32, floor: Int64) -> UInt32 {
        var new = KeyHistoryRecord(
            main: main, jumpMain: 0, subAndTombstone: subAndTombstone, next: first, jump: 0, depth: 1)
        if first != 0 {
            let top = table.record(first).pointee
            // Counting again from 1 only makes a search in this one place a step longer.
            new.depth = top.depth < UInt32.max / 2 ? top.depth + 1 : 1
            if KeyHistoryRecord.jumpLength(at: new.depth) == 1 {
                new.jump = first
                new.jumpMain = top.main
            } else if top.jumpMain > floor {
                let below = table.record(top.jump).pointee
                new.jump = below.jump
                new.jumpMain = below.jumpMain
            }
        }
        let index = allocate()
        table.record(index).initialize(to: new)
        return index
    }

    /// Ends a list below `index`; returns the first record of what was cut off, or 0.
    mutating func cut(below index: UInt32) -> UInt32 {
        if isEnd(index) { return 0 }
        setEnd(index, true)
        return table.record(index).pointee.next
    }

    /// Frees one record that no snapshot reaches; returns the next one of its list.
    mutating func free(_ index: UInt32) -> UInt32 {
        let next = isEnd(index) ? 0 : table.record(index).pointee.next
        setEnd(index, false)
        let number = Int(index >> KeyHistoryTable.chunkBits)
        table.record(index).pointee.next = chunks[number].free
        chunks[number].free = index
        chunks[number].live -= 1
        records -= 1
        if chunks[number].live == 0, number != current {
            giveBack(number)
        } else if !chunks[number].isRoomy, number != current {
            chunks[number].isRoomy = true
            roomy.append(UInt32(number))
        }
        return next
    }

    private func isEnd(_ index: UInt32) -> Bool {
        let slot = Int(index) & (KeyHistoryTable.recordsPerChunk - 1)
        return chunks[Int(index >> KeyHistoryTable.chunkBits)].ends[slot / 64] & (1 << UInt64(slot % 64)) != 0
    }

    private mutating func setEnd(_ index: UInt32, _ value: Bool) {
        let slot = Int(index) & (KeyHistoryTable.recordsPerChunk - 1)
        let bit = UInt64(1) << UInt64(slot % 64)
        let number = Int(index >> KeyHistoryTable.chunkBits)
        if value { chunks[number].ends[slot / 64] |= bit } else { chunks[number].ends[slot / 64] &= ~bit }
    }

    private mutating func allocate() -> UInt32 {
        let number = chunkWithRoom()
        records += 1
        chunks[number].live += 1
        let free = chunks[number].free
        if free != 0 {
            chunks[number].free = table.record(free).pointee.next
            return free
        }
        let slot = chunks[number].used
        chunks[number].used += 1
        return UInt32(number) << UInt32(KeyHistoryTable.chunkBits) | UInt32(slot)
    }

    private mutating func chunkWithRoom() -> Int {
        if let current {
            if chunks[current].free != 0 || chunks[current].used < KeyHistoryTable.recordsPerChunk { return current }
            self.current = nil
        }
        while let number = roomy.popLast() {
            guard chunks[Int(number)].isRoomy else { continue }
            chunks[Int(number)].isRoomy = false
            current = Int(number)
            return Int(number)
        }
        let number = addChunk()
        current = number
        return number
    }

    private mutating func addChunk() -> Int {
        let number: Int
        if let reused = vacant.popLast() {
            number = Int(reused)
            chunks[number] = Chunk()
        } else {
            number = chunks.count
            precondition(number < KeyHistoryTable.maximumChunks, "the key index holds 2^32 older revisions")
            chunks.append(Chunk())
        }
        // Index 0 means "none".
        if number == 0 { chunks[number].used = 1 }
        table.chunks[number] = .allocate(capacity: KeyHistoryTable.recordsPerChunk)
        memory.addHistory(KeyHistoryTable.chunkBytes)
        return number
    }

    private mutating func giveBack(_ number: Int) {
        table.chunks[number].unsafelyUnwrapped.deallocate()
        table.chunks[number] = nil
        memory.addHistory(-KeyHistoryTable.chunkBytes)
        chunks[number].isRoomy = false
        chunks[number].ends = []
        vacant.append(UInt32(number))
    }
}
