import Glibc
import Host
import Raft
import Simulation

/// Whom a fault strikes: the leader of the moment, or one of the members.
enum FaultTarget: CustomStringConvertible {
    case leader
    case follower(Int)
    case any(Int)

    init(_ random: inout SeededRandom) {
        let number = Int.random(in: 0..<60, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0, 1: self = .leader
        case 2: self = .follower(number)
        default: self = .any(number)
        }
    }

    var description: String {
        switch self {
        case .leader: "the leader"
        case .follower(let number): "follower \(number)"
        case .any(let number): "member \(number)"
        }
    }
}

/// Something bad that begins at one time and has passed after another.
struct Fault: CustomStringConvertible {
    enum Kind {
        /// Power fails at once, at an effect of a later turn, or between two disk operations to come.
        case powerLoss(UnsyncedWrites)
        case powerLossAtEffect(Int, UnsyncedWrites)
        case powerLossAtDiskCall(Int, DiskOperations, UnsyncedWrites)
        /// The leader loses power, and whoever votes for the next one right after it; that one is then cut off.
        case election(UnsyncedWrites)
        /// Several lose power at once.
        case blackout(UnsyncedWrites)
        case pause
        case diskError(Int, DiskOperations, code: Int32)
        case fullDisk
        case slowDisk(Instant.Span)
        case isolation(inbound: Bool, outbound: Bool)
        /// Cuts the link to one other member, in one direction or both.
        case cutLink(Int, bothWays: Bool)
        case cloggedLink(Int)
        case weather(NetworkFaults)
        case clockLeap(Instant.Span)
        case clockRate(Int64)
        case moveLeader(Int)
        case defragmentation
        case commitPages
        /// A member is removed, and another one takes its place.
        case replacement
        /// A learner joins, is promoted, and is removed again.
        case visitor(isLearner: Bool)
        /// A member loses its disk and comes back under another id.
        case lostDisk
        /// A bit of a stopped member's log or snapshot turns.
        case bitFlip(Int)
        /// Figure 8 of the Raft paper.
        case oldTerm
        /// An endpoint treats a proxy badly.
        case upstream(UpstreamTemper)
    }

    let number: Int
    let begin: Instant.Span
    let length: Instant.Span
    let target: FaultTarget
    let kind: Kind

    var description: String {
        "fault \(number) at \(begin.seconds) s for \(length.seconds) s: \(kind) of \(target)"
    }
}

/// All that befalls a run, drawn beforehand so that any part of it can be left out.
struct FaultPlan {
    private(set) var faults: [Fault] = []

    /// - Parameter hasScene: begins with ``OldTermScene``, which others would disturb.
    init(seed: UInt64, span: Instant.Span, profile: FaultProfile, hasScene: Bool) {
        var random = SeededRandom(seed: seed ^ 0x6661_756c_7473_0000)
        guard profile != .none else { return }
        var time = Instant.Span.seconds(2).nanoseconds
        if hasScene {
            faults.append(
                Fault(
                    number: 0, begin: Instant.Span(nanoseconds: time), length: OldTermScene.length, target: .leader,
                    kind: .oldTerm))
            time += OldTermScene.length.nanoseconds
        }
        while true {
            time += Int64.random(in: 50_000_000...profile.longestGap.nanoseconds, using: &random)
            guard time < span.nanoseconds else { return }
            let longest = Int.random(in: 0..<4, using: &random) == 0 ? 6_000 : 1_500
            faults.append(
                Fault(
                    number: faults.count, begin: Instant.Span(nanoseconds: time),
                    length: .milliseconds(Int64.random(in: 20...Int64(longest), using: &random)),
                    target: FaultTarget(&random), kind: FaultPlan.draw(profile, &random)))
        }
    }

    /// Endpoints of proxies turn bad too. Drawn apart, so that the same faults strike the members with and without proxies.
    mutating func addUpstreams(seed: UInt64, span: Instant.Span) {
        var random = SeededRandom(seed: seed ^ 0x7570_7374_7265_616d)
        var time = Instant.Span.seconds(2).nanoseconds
        while true {
            time += Int64.random(in: 100_000_000...1_500_000_000, using: &random)
            guard time < span.nanoseconds else { return }
            let longest: Int64 = Int.random(in: 0..<4, using: &random) == 0 ? 8_000 : 2_000
            faults.append(
                Fault(
                    number: faults.count, begin: Instant.Span(nanoseconds: time),
                    length: .milliseconds(Int64.random(in: 50...longest, using: &random)),
                    target: .any(Int.random(in: 0..<60, using: &random)), kind: .upstream(UpstreamTemper.bad(&random))))
        }
    }

    private static func unsynced(_ random: inout SeededRandom) -> UnsyncedWrites {
        UnsyncedWrites.allCases[Int.random(in: 0..<UnsyncedWrites.allCases.count, using: &random)]
    }

    private static func draw(_ profile: FaultProfile, _ random: inout SeededRandom) -> Fault.Kind {
        func number(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &random) }
        var choice = number(100)
        if profile == .disks { choice = number(45) }
        if profile == .network { choice = 45 + number(35) }
        switch choice {
        case 0..<8: return .powerLoss(unsynced(&random))
        case 8..<16: return .powerLossAtEffect(number(12), unsynced(&random))
        case 16..<28: return .powerLossAtDiskCall(1 + number(40), [.changing, .write, .syncing][number(3)], unsynced(&random))
        case 28..<30: return .blackout(unsynced(&random))
        case 30..<33: return .election(unsynced(&random))
        case 33..<34: return .diskError(1 + number(20), [.read, .write, .syncData, .sync, .allocating][number(5)], code: EIO)
        case 34..<36: return .fullDisk
        case 36..<40: return .slowDisk(.milliseconds([3, 30, 200, 1500][number(4)]))
        case 40..<43: return .commitPages
        case 43..<45: return .defragmentation
        case 45..<53: return .isolation(inbound: true, outbound: true)
        case 53..<56: return .isolation(inbound: number(2) == 0, outbound: true)
        case 56..<59: return .isolation(inbound: true, outbound: false)
        case 59..<65: return .cutLink(number(60), bothWays: number(2) == 0)
        case 65..<69: return .cloggedLink(number(60))
        case 69..<77: return .weather(weather(&random))
        case 77..<83: return .pause
        case 83..<85: return .clockLeap(.milliseconds(Int64(number(4000))))
        case 85..<89: return .clockRate(Int64(950 + number(101)))
        case 89..<93: return .moveLeader(number(60))
        case 93..<95: return .replacement
        case 95..<98: return .visitor(isLearner: number(3) > 0)
        case 98: return .lostDisk
        default: return .bitFlip(number(1 << 20))
        }
    }

    private static func weather(_ random: inout SeededRandom) -> NetworkFaults {
        var faults = NetworkFaults()
        faults.lossPercent = [0, 3, 20, 50][Int.random(in: 0..<4, using: &random)]
        faults.duplicatePercent = [0, 5, 30][Int.random(in: 0..<3, using: &random)]
        faults.reorderPercent = [0, 10, 60][Int.random(in: 0..<3, using: &random)]
        faults.slowPercent = [0, 5, 40][Int.random(in: 0..<3, using: &random)]
        return faults
    }
}

/// What kinds of fault a run knows, and how many.
public enum FaultProfile: String, CaseIterable, Sendable {
    case none
    case disks
    case network
    case everything

    var longestGap: Instant.Span { .milliseconds(1200) }
}
