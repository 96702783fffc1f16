/// Whether a thread that has run out of work looks out for more for some microseconds before it sleeps.
///
/// To put a thread to sleep and wake it takes longer than most requests, so a client that sends one request after the other mostly waits
/// for that. Looking out pays only there: not when several requests come at once, and not when nothing comes in time, be it that the
/// client is far away or thinks. Then the thread sleeps at once for a while, twice as long each time it was disappointed. Nor does it pay
/// where others want the core: whoever sleeps is woken before those that compute, and whoever looks out is one of these.
public struct Lingering: Sendable {
    /// Nanoseconds at most; a client next to the member is back sooner.
    public static let longest = Int64(60_000)
    /// Lone requests in a row that tell a client that waits for each answer.
    static let neededLoneRequests = 16
    static let longestPause = 256
    /// Requests that a thread does not linger after once it has lost its core to another.
    static let pauseWhereContended = 1000

    private var loneRequests = 0
    private var pause = 0
    private var nextPause = 1
    private var lossesBefore = 0

    public init() {}

    /// A piece of work is done that was for so many requests. Returns whether to look out for the next now.
    ///
    /// `losses`: how often the thread has had to leave its core to others so far.
    public mutating func done(requests: Int, losses: () -> Int) -> Bool {
        guard requests <= 1 else {
            loneRequests = 0
            return false
        }
        loneRequests = min(loneRequests + 1, Lingering.neededLoneRequests)
        guard loneRequests == Lingering.neededLoneRequests else { return false }
        guard pause == 0 else {
            pause -= 1
            // What happened meanwhile is no reason to go on.
            if pause == 0 { lossesBefore = losses() }
            return false
        }
        let losses = losses()
        defer { lossesBefore = losses }
        if losses != lossesBefore { pause = Lingering.pauseWhereContended }
        return losses == lossesBefore
    }

    /// Work came while it was looked out for.
    public mutating func wasRewarded() { nextPause = 1 }

    /// None came in time.
    public mutating func wasDisappointed() {
        pause = nextPause
        nextPause = min(nextPause * 2, Lingering.longestPause)
    }
}
