import Balancing
import Host
import Testing

/// Endpoints that fail and recover at random: what must hold at every moment, whatever happens.
struct RandomFaultsTests {
    private let seeds = World.endpoints(4)
    private static let behaviours: [World.Behaviour] = [
        .works, .works, .works, .works, .refuses, .hangs, .hasNoLeader, .isLearner, .isCorrupt, .inCluster(7), .fails(.garbled),
    ]

    /// One run, checked as it goes; what happened in it, as text.
    private func run(_ seed: UInt64) -> String {
        var random = SeededRandom(seed: seed)
        var world = World(seeds: seeds, seed: seed)
        var since: [EndpointAddress: Int64] = [:]
        var lastFailure: [EndpointAddress: Int64] = [:]
        world.run(3_000)
        var log = ""
        for _ in 0..<150 {
            let seedEndpoint = seeds.randomElement(using: &random)!.address
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                world.behaviours[seedEndpoint] = Self.behaviours.randomElement(using: &random)!
                since[seedEndpoint] = world.milliseconds
            case 6..<9:
                if let id = world.id(seedEndpoint) {
                    for _ in 0..<Int.random(in: 1...6, using: &random) {
                        world.change { $0.requestFailed(id, successesBefore: 0, now: $1) }
                    }
                    lastFailure[seedEndpoint] = world.milliseconds
                }
            default:
                world.listing = Bool.random(using: &random) ? nil : MemberListing(clusterID: World.cluster, members: [])
            }
            world.run(Int64.random(in: 0...4_000, using: &random))
            check(world, since, lastFailure, seed)
        }
        for event in world.events { log += "\(event)\n" }
        for (address, reason, at) in world.left { log += "\(address) \(reason) \(at.nanoseconds)\n" }
        return log
    }

    private func check(
        _ world: World, _ since: [EndpointAddress: Int64], _ lastFailure: [EndpointAddress: Int64], _ seed: UInt64
    ) {
        #expect(world.addresses == seeds.map(\.address), "seed \(seed)")
        var picker = Picker(BalancingSettings(), seed: seed)
        picker.update(world.view)
        for seedEndpoint in seeds {
            let address = seedEndpoint.address
            let behaviour = world.behaviours[address] ?? .works
            let age = world.milliseconds - (since[address] ?? 0)
            let standing = world.standing(address)
            // One interval with its jitter and one timeout, or as many probes as the threshold.
            if age > 2_300, behaviour != .works, behaviour != .fails(.garbled) {
                #expect(standing != .serving, "seed \(seed): \(address) \(behaviour) for \(age) ms")
            }
            // The longest wait between probes twice, and no ejection that could still last.
            if age > 13_000, behaviour == .works, world.milliseconds - (lastFailure[address] ?? -1_000_000) > 75_000 {
                #expect(standing == .serving || standing == .forbidden, "seed \(seed): \(address) works for \(age) ms")
            }
            if standing == .forbidden, let id = world.id(address) {
                for kind in RequestKind.allCases {
                    for _ in 0..<5 { #expect(picker.pick(kind, now: world.now) != id, "seed \(seed)") }
                }
            }
        }
        let usable = world.view.endpoints.contains { $0.standing != .forbidden }
        for kind in RequestKind.allCases { #expect((picker.pick(kind, now: world.now) != nil) == usable, "seed \(seed)") }
    }

    @Test(arguments: UInt64(1)...30)
    func invariantsHold(_ seed: UInt64) { _ = run(seed) }

    @Test func aSeedGivesTheSameRunEachTime() {
        #expect(run(5) == run(5))
        #expect(run(5) != run(6))
    }
}
