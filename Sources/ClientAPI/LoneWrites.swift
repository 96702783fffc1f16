/// Whether one client that writes, and waits for each answer, is all that an event loop has to serve.
///
/// Then nobody minds if the loop waits for the disk itself, as long as nobody else has a connection there (``LoopOccupancy``). The client does
/// mind where it may send another request meanwhile, be it a read, or a write that could have shared the sync.
struct LoneWrites {
    /// So many bursts in a row.
    static let needed = 16

    private var shortWrites = 0
    private var inARow = 0

    mutating func add() { shortWrites += 1 }

    /// A burst is over that held so many requests; `unanswered` requests, those of the burst among them, have been submitted.
    mutating func endBurst(requests: UInt64, unanswered: Int) {
        let isLone = requests == 1 && shortWrites == 1 && unanswered == 1
        inARow = isLone ? min(inARow + 1, LoneWrites.needed) : 0
        shortWrites = 0
    }

    var areTheRule: Bool { inARow == LoneWrites.needed }
}
