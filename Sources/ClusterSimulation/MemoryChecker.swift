import Host
import Member
import Raft

/// What a member holds in memory stays within what is stated, and what belongs to requests goes when they do.
final class MemoryChecker {
    private let catchUpEntries: LogIndex
    /// Entries that may be applied in one turn before the log is looked at again: all that clients asked for while a member stood still.
    private static let slack: LogIndex = 2000
    /// With a snapshot on its way (`Member.largestHeldBack`).
    private static let largestHeldBack: LogIndex = 100_000
    /// As those who feed a member see to it: `ParkedProposals.largestCount`, `RaftConfiguration.maximumPendingReads`.
    private static let largestParked = 20_000
    private static let largestReads = 8192
    /// Groups for the page file: one on its way, one being collected, and an installation.
    private static let largestPageJobs = 3

    init(catchUpEntries: LogIndex) { self.catchUpEntries = catchUpEntries }

    func check(_ member: SimulatedMember, _ process: MemberProcess) throws {
        let holdings = process.member.holdings
        let limit = (holdings.holdsLogBack ? MemoryChecker.largestHeldBack : 0) + 2 * catchUpEntries + MemoryChecker.slack
        guard holdings.logEntries <= limit else {
            throw Violation("memory", "m\(member.id) keeps \(holdings.logEntries) entries of its log, \(limit) at most")
        }
        guard holdings.parked <= MemoryChecker.largestParked, holdings.reads <= MemoryChecker.largestReads,
            process.pageJobs.count <= MemoryChecker.largestPageJobs
        else { throw Violation("memory", "m\(member.id) holds \(holdings) and \(process.pageJobs.count) jobs of its page file") }
    }

    /// - Parameter streams: watch streams that clients have open there.
    func checkIdle(_ member: SimulatedMember, _ process: MemberProcess, streams: Int) throws {
        let holdings = process.member.holdings
        guard holdings.requests == 0 else { throw Violation("memory", "m\(member.id) holds \(holdings) when nobody asks") }
        guard process.hub.streamCount == streams else {
            throw Violation("memory", "m\(member.id) has \(process.hub.streamCount) watch streams, its clients \(streams)")
        }
        guard process.inbox.requests.isEmpty, process.pageJobs.count <= 1 else {
            throw Violation("memory", "m\(member.id) has \(process.pageJobs.count) jobs of its page file when nobody writes")
        }
    }
}
