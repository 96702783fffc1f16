import Raft
import Records

/// What a log holds after a snapshot.
public struct Replay: Equatable, Sendable {
    /// What the log was created with: an encoded `LogMetadata`.
    public internal(set) var metadata: [UInt8] = []
    /// The last one written.
    public internal(set) var hardState = HardState()
    /// Consecutive, the first one right after the snapshot. Those that a later leader replaced are gone; those past
    /// `hardState.commit` may still be replaced.
    public internal(set) var entries: [Entry] = []
    /// Set when the last record had been cut off by a crash.
    public internal(set) var tornTail: TornTail?

    public init() {}

    /// Where the log was cut off.
    public struct TornTail: Equatable, Sendable {
        public var file: String
        /// The end of the last good record; everything behind it was never synced.
        public var offset: Int
        public var reason: String
    }
}

/// Puts a replay together record by record, and refuses what no Raft log can be.
///
/// The checksums do not cover a record's type, and an entry without data has the shape of a hard state. So the rules that
/// hold in every Raft log stand in: terms and commit never fall, terms never fall along the log, nothing committed is
/// replaced, and what is committed is there.
struct ReplayBuilder {
    let start: SnapshotMarker
    private(set) var replay = Replay()
    /// Whether the marker to start from has been seen.
    private(set) var foundStart = false
    /// The index of the last entry or snapshot written.
    private(set) var lastIndex: LogIndex = 0
    private var highestEntryTerm: Term = 0
    private var hasMetadata = false
    /// The term of the entry at the start's index as far as it was read; nil when there is none, as after a leader's snapshot.
    private var termAtStart: Term?
    /// Whether the log has an entry that the start covers. A copy that `etcdutl backup` made begins right behind its snapshot, whose
    /// marker it writes last.
    private var reachesBehindStart = false

    init(from start: SnapshotMarker) { self.start = start }

    mutating func take(_ located: LocatedRecord) throws(WALError) {
        switch located.record.kind {
        case .checksum: break
        case .metadata: try takeMetadata(located)
        case .entry: try takeEntry(located)
        case .hardState: try takeHardState(located)
        case .snapshotMarker: try takeMarker(located)
        }
    }

    /// Called after the last record, with its place.
    mutating func finish(file: String, offset: Int) throws(WALError) {
        let last = start.index + LogIndex(replay.entries.count)
        guard replay.hardState.commit <= last else {
            let reason = "log ends at index \(last), and \(replay.hardState.commit) was committed"
            throw .corrupt(file: file, offset: offset, reason: reason)
        }
    }

    mutating func markTorn(_ tail: Replay.TornTail) { replay.tornTail = tail }

    private mutating func takeMetadata(_ located: LocatedRecord) throws(WALError) {
        let metadata = [UInt8](located.record.data)
        guard !hasMetadata || metadata == replay.metadata else { throw located.corrupt("metadata differs between segments") }
        replay.metadata = metadata
        hasMetadata = true
    }

    private mutating func takeHardState(_ located: LocatedRecord) throws(WALError) {
        let state = try HardStateShape.decode(located)
        guard state.term >= replay.hardState.term, state.commit >= replay.hardState.commit else {
            throw located.corrupt("hard state goes back from \(replay.hardState) to \(state)")
        }
        guard state.term >= highestEntryTerm else {
            throw located.corrupt("hard state of term \(state.term) after an entry of term \(highestEntryTerm)")
        }
        replay.hardState = state
    }

    private mutating func takeMarker(_ located: LocatedRecord) throws(WALError) {
        let marker = try located.decode(SnapshotMarker.self)
        lastIndex = max(lastIndex, marker.index)
        guard marker.index == start.index else { return }
        guard marker.term == start.term else {
            throw located.corrupt("snapshot at index \(marker.index) has term \(marker.term) instead of \(start.term)")
        }
        foundStart = true
        // A leader's snapshot replaced the whole log: entries before its marker led to another history and are void. A snapshot
        // of this member's own stands behind the entry it covers.
        if start.index > 0, termAtStart != start.term, reachesBehindStart { replay.entries.removeAll() }
    }

    private mutating func takeEntry(_ located: LocatedRecord) throws(WALError) {
        let entry = try located.decode(Entry.self)
        guard entry.term > 0, entry.index > 0 else { throw located.corrupt("entry at index 0 or of term 0") }
        guard entry.kind != .configurationChange || !entry.data.isEmpty else {
            throw located.corrupt("configuration change without data")
        }
        lastIndex = entry.index
        highestEntryTerm = max(highestEntryTerm, entry.term)
        guard entry.index > start.index else {
            // Whatever followed in the log until now was replaced with it.
            replay.entries.removeAll()
            reachesBehindStart = true
            termAtStart = entry.index == start.index ? entry.term : nil
            return
        }
        let kept = entry.index - start.index - 1
        // A marker that is still to come may void what was read so far, so terms are compared with it only behind it.
        let mayBeVoid = !foundStart && termAtStart != start.term
        guard kept <= UInt64(replay.entries.count) else {
            let expected = start.index + LogIndex(replay.entries.count) + 1
            throw located.corrupt("entry \(entry.index) where \(expected) should follow")
        }
        if kept < UInt64(replay.entries.count) {
            try checkReplacement(by: entry, at: Int(kept), located)
            replay.entries.removeSubrange(Int(kept)...)
        }
        let previous = replay.entries.last?.term ?? (mayBeVoid ? 0 : start.term)
        guard entry.term >= previous else {
            throw located.corrupt("entry \(entry.index) of term \(entry.term) after one of term \(previous)")
        }
        replay.entries.append(entry)
    }

    /// A new leader replaces what was never committed. The same entry may come twice.
    private func checkReplacement(by entry: Entry, at position: Int, _ located: LocatedRecord) throws(WALError) {
        guard entry.index > replay.hardState.commit || entry == replay.entries[position] else {
            throw located.corrupt("entry \(entry.index) replaces a committed one")
        }
    }
}

/// A hard state's exact shape: its three fields, each once, and nothing else.
private enum HardStateShape {
    static func decode(_ located: LocatedRecord) throws(WALError) -> HardState {
        let state = try located.decode(HardState.self)
        guard state.encoded().elementsEqual(located.record.data) else { throw located.corrupt("hard state of another shape") }
        return state
    }
}
