import Host

/// What the owner reports back: writes that are durable, entries that are applied.
extension RaftNode {
    /// The batch of this number and all before it are durable.
    public mutating func persisted(through batch: UInt64, now: Instant) {
        writes.confirm(through: batch)
        noteDurableVote(now)
        noteDurableEntries()
    }

    /// The state machine has applied entries, or installed a snapshot, up to `index`.
    public mutating func applied(through index: LogIndex) {
        precondition(index >= applied && index <= commit, "applied what is not committed, or applied it twice")
        log.forEach(from: applied + 1, through: index) { applyingBytes -= $0.size }
        applyingBytes = max(0, applyingBytes)
        applied = index
        applying = max(applying, index)
        if let awaited = installing, index >= awaited { installing = nil }
    }

    /// Calls `body` with every entry behind the last applied one, committed or not.
    public func forEachUnapplied(_ body: (Entry) -> Void) {
        log.forEach(from: applied + 1, through: log.lastIndex, body)
    }

    /// The next committed entries to apply. Only what is durable here: so a restart finds every applied entry in its log.
    mutating func takeCommitted() -> [Entry] {
        let last = min(commit, writes.durableIndex)
        let room = configuration.maximumApplyBytes - applyingBytes
        guard installing == nil, applying < last, room > 0 else { return [] }
        let entries = log.slice(from: applying + 1, through: last, maximumBytes: room)
        // An entry larger than the room left waits until nothing else is being applied.
        if applyingBytes > 0, entries.count == 1, entries[0].size > room { return [] }
        applying += LogIndex(entries.count)
        applyingBytes += entries.reduce(0) { $0 + $1.size }
        return entries
    }
}
