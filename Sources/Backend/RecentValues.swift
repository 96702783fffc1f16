/// The uncommitted tail of history as one reader sees it: batches in ascending order, each up to a fixed count.
public struct RecentValues: Sendable {
    @usableFromInline struct Part: Sendable {
        @usableFromInline let batch: RevisionBatch
        @usableFromInline let count: Int
        @usableFromInline let firstMain: Int64

        @usableFromInline init(batch: RevisionBatch, count: Int, firstMain: Int64) {
            self.batch = batch
            self.count = count
            self.firstMain = firstMain
        }
    }

    @usableFromInline var parts: [Part] = []

    public init(_ batches: [RevisionBatch]) {
        for batch in batches where batch.count > 0 {
            parts.append(Part(batch: batch, count: batch.count, firstMain: batch.slots[0].main))
        }
    }

    /// The oldest main revision held, or nil when everything is in the page file.
    @inlinable public var firstMain: Int64? { parts.first?.firstMain }
    public var slotCount: Int { parts.reduce(0) { $0 + $1.count } }

    /// The value written at a revision; nil when it is not here. Valid while this value, or the view that owns it, lives.
    public func value(main: Int64, sub: Int64) -> RevisionBatch.Slot? {
        for part in parts.reversed() where part.firstMain <= main {
            if let slot = RecentValues.find(part, main, sub) { return slot }
            // A transaction may span two batches; only then is the one before worth a look.
            if part.firstMain < main { return nil }
        }
        return nil
    }

    /// Most transactions hold one change, so the distance in main revisions is a good first guess of the place.
    private static func find(_ part: Part, _ main: Int64, _ sub: Int64) -> RevisionBatch.Slot? {
        let slots = part.batch.slots
        let guess = min(Int(main - part.firstMain), part.count - 1)
        if slots[guess].main == main, slots[guess].sub == sub { return slots[guess] }
        var low = 0
        var high = part.count
        while low < high {
            let middle = (low + high) / 2
            let slot = slots[middle]
            if slot.main < main || (slot.main == main && slot.sub < sub) { low = middle + 1 } else { high = middle }
        }
        guard low < part.count, slots[low].main == main, slots[low].sub == sub else { return nil }
        return slots[low]
    }

    /// Visits slots with main revision at least `main`, ascending, until `body` returns false.
    public func forEach(fromMain main: Int64, _ body: (RevisionBatch.Slot) -> Bool) {
        for (index, part) in parts.enumerated() {
            if index + 1 < parts.count, parts[index + 1].firstMain < main { continue }
            var at = RecentValues.lowerBound(part, main)
            while at < part.count {
                if !body(part.batch.slots[at]) { return }
                at += 1
            }
        }
    }

    private static func lowerBound(_ part: Part, _ main: Int64) -> Int {
        var low = 0
        var high = part.count
        while low < high {
            let middle = (low + high) / 2
            if part.batch.slots[middle].main < main { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
