import Balancing
import Host
import Testing

/// Health of endpoints in virtual time. Where a test stands for a complaint about etcd's proxies, its number in the list of complaints
/// is named: #6773 a hung backend keeps its requests, #3541 a dead one is taken back untested, #3580 the proxy forwards to itself.
struct HealthTests {
    private let seeds = World.endpoints(3)
    private var first: EndpointAddress { seeds[0].address }

    private func steady(_ settings: BalancingSettings = BalancingSettings()) -> World {
        var world = World(settings, seeds: seeds)
        world.run(3_000)
        world.forgetWhatHappened()
        return world
    }

    @Test func allServeAfterTheFirstProbe() {
        var world = World(seeds: seeds)
        #expect(world.view.endpoints.allSatisfy { $0.standing == .unproven })
        world.run(10)
        #expect(world.view.endpoints.allSatisfy { $0.standing == .serving })
        #expect(world.monitor.pinnedCluster == World.cluster)
    }

    /// #6773
    @Test func aHungEndpointIsLeftWithinIntervalAndTimeout() {
        var world = steady()
        world.behaviours[first] = .hangs
        let began = world.milliseconds
        while world.standing(first) == .serving, world.milliseconds < began + 10_000 { world.run(10) }
        #expect(world.milliseconds - began <= 1_200 + 1_000 + 10)
        #expect(world.left.map(\.address) == [first] && world.left.first?.reason == .hung)
    }

    /// Late answers to probes alone, while clients get theirs, are no reason to leave; silence to both is, half a time-out later at most.
    @Test func aLateProbeIsExcusedWhileClientsHearFromTheEndpoint() {
        var world = steady()
        world.behaviours[first] = .hangs
        world.isHeard = [first]
        world.run(8_000)
        #expect(world.standing(first) == .serving && world.left.isEmpty)
        let began = world.milliseconds
        world.isHeard = []
        while world.standing(first) == .serving, world.milliseconds < began + 10_000 { world.run(10) }
        #expect(world.milliseconds - began <= 1_510)
    }

    /// One that never answers a probe is left in the end, whatever clients hear.
    @Test func excusesEnd() {
        var world = steady()
        world.behaviours[first] = .hangs
        world.isHeard = [first]
        world.run(1_200 + 12_000)
        #expect(world.standing(first) == .down)
    }

    @Test func suspicionMakesItTheProbeTimeoutAlone() throws {
        var world = steady()
        world.behaviours[first] = .hangs
        // A probe that is under way belongs to the time before.
        world.run(100)
        let id = try #require(world.id(first))
        let began = world.milliseconds
        world.change { $0.suspect(id, now: $1) }
        while world.standing(first) == .serving, world.milliseconds < began + 10_000 { world.run(10) }
        #expect(world.milliseconds - began <= 1_020)
    }

    @Test func aRefusalIsEnoughByItself() throws {
        var world = steady()
        world.behaviours[first] = .refuses
        let id = try #require(world.id(first))
        world.change { $0.requestFailed(id, successesBefore: 0, now: $1) }
        world.run(5)
        #expect(world.standing(first) == .down)
    }

    @Test func aFailureThatMayPassTakesAsManyProbesAsTheThreshold() {
        var settings = BalancingSettings()
        settings.fall = 3
        var world = World(settings, seeds: [seeds[0]])
        world.run(3_000)
        /// Lets so many probes go out.
        func probe(_ count: Int) {
            let before = world.probes
            while world.probes < before + count { world.run(1) }
            world.run(5)
        }
        probe(1)
        world.behaviours[first] = .fails(.garbled)
        probe(2)
        #expect(world.standing(first) == .serving)
        world.behaviours[first] = .works
        probe(1)
        world.behaviours[first] = .fails(.garbled)
        probe(2)
        #expect(world.standing(first) == .serving)
        probe(1)
        #expect(world.standing(first) == .down)
    }

    /// #3541
    @Test func takenBackOnlyAfterAsManyPassedProbesAsTheThreshold() {
        var settings = BalancingSettings()
        settings.rise = 3
        var world = World(settings, seeds: [seeds[0]])
        world.run(1_000)
        world.behaviours[first] = .refuses
        world.run(60_000)
        #expect(world.standing(first) == .down)
        world.behaviours[first] = .works
        let before = world.probes
        while world.standing(first) != .serving, world.milliseconds < 100_000 { world.run(1) }
        #expect(world.standing(first) == .serving)
        // One of them may have been under way.
        #expect(world.probes - before >= 2 && world.probes - before <= 3)
    }

    @Test func probesOfADeadEndpointGetRarer() {
        var world = World(seeds: [seeds[0]])
        world.behaviours[first] = .refuses
        world.run(60_000)
        // One a second would be sixty.
        #expect(world.probes < 25)
        #expect(world.probes > 10)
    }

    /// Many proxies that were started together do not ask together for ever.
    @Test func probesAreSpreadAroundTheirInterval() {
        var world = World(seeds: [seeds[0]])
        var moments: [Int64] = []
        while moments.count < 40 {
            let before = world.probes
            world.run(10)
            if world.probes > before { moments.append(world.milliseconds) }
        }
        let spans = zip(moments.dropFirst(), moments).map { $0 - $1 }
        #expect(spans.allSatisfy { 780...1_220 ~= $0 })
        #expect(Set(spans).count > 5)
    }

    @Test func membersWithoutLeaderServeSerializableReadsWhenNothingIsBetter() {
        var world = steady()
        for seed in seeds { world.behaviours[seed.address] = .hasNoLeader }
        world.run(1_500)
        #expect(world.view.endpoints.allSatisfy { $0.standing == .noLeader })
        // Nobody is better off: nothing moves.
        #expect(world.left.isEmpty)
        var picker = Picker(BalancingSettings(), seed: 1)
        picker.update(world.view)
        #expect(picker.pick(.serializableRead, now: world.now) != nil)
        world.behaviours[seeds[2].address] = .works
        world.run(1_500)
        picker.update(world.view)
        for kind in RequestKind.allCases {
            for _ in 0..<20 { #expect(picker.pick(kind, now: world.now) == world.id(seeds[2].address)) }
        }
        #expect(world.left.map(\.address) == [seeds[0].address, seeds[1].address])
    }

    @Test(arguments: [World.Behaviour.isLearner, .isCorrupt, .inCluster(7), .fails(.ownAddress)])
    func unsuitedEndpointsAreLeftAndNotChosen(_ behaviour: World.Behaviour) {
        var world = steady()
        world.behaviours[first] = behaviour
        world.run(2_500)
        #expect(world.left.map(\.address) == [first])
        var picker = Picker(BalancingSettings(), seed: 1)
        picker.update(world.view)
        for kind in RequestKind.allCases {
            for _ in 0..<50 { #expect(picker.pick(kind, now: world.now) != world.id(first)) }
        }
    }

    /// #3580: whatever else is wrong, the proxy does not forward to itself, nor to another cluster.
    @Test func neverToItselfNorToAnotherCluster() {
        var world = steady()
        world.behaviours[seeds[0].address] = .fails(.ownAddress)
        world.behaviours[seeds[1].address] = .inCluster(7)
        world.behaviours[seeds[2].address] = .refuses
        world.run(5_000)
        var picker = Picker(BalancingSettings(), seed: 1)
        picker.update(world.view)
        #expect(picker.pick(.read, now: world.now) == world.id(seeds[2].address))
        #expect(picker.pick(.read, excluding: [world.id(seeds[2].address)!], now: world.now) == nil)
    }

    @Test func panicRule() {
        var world = steady()
        for seed in seeds { world.behaviours[seed.address] = .hangs }
        world.run(5_000)
        #expect(world.view.endpoints.allSatisfy { $0.standing == .down })
        var picker = Picker(BalancingSettings(), seed: 1)
        picker.update(world.view)
        #expect(picker.pick(.write, now: world.now) != nil)
        // The last one that served was not left: there was nothing better.
        #expect(world.left.count < 3)
    }

    // MARK: Ejection

    @Test func failedRequestsEjectAndAProbeEndsIt() throws {
        var world = steady()
        let id = try #require(world.id(first))
        for _ in 0..<5 { world.change { $0.requestFailed(id, successesBefore: 0, now: $1) } }
        #expect(world.standing(first) == .ejected)
        #expect(world.left.map(\.reason) == [.failing])
        world.run(4_900)
        #expect(world.standing(first) == .ejected)
        world.run(200)
        #expect(world.standing(first) == .serving)
        // The second time lasts twice as long.
        for _ in 0..<5 { world.change { $0.requestFailed(id, successesBefore: 0, now: $1) } }
        world.run(9_900)
        #expect(world.standing(first) == .ejected)
        // Its time being over is not enough.
        world.behaviours[first] = .hangs
        world.run(30_000)
        #expect(world.standing(first) == .down)
    }

    @Test func aSuccessBetweenBreaksTheStreak() throws {
        var world = steady()
        let id = try #require(world.id(first))
        for _ in 0..<8 { world.change { $0.requestFailed(id, successesBefore: 1, now: $1) } }
        #expect(world.standing(first) == .serving)
        // But half of twenty failing is too much, streak or not.
        for _ in 0..<5 { world.change { $0.requestFailed(id, successesBefore: 1, now: $1) } }
        #expect(world.standing(first) == .ejected)
    }

    @Test func fewFailuresAmongManySuccessesAreNothing() throws {
        var world = steady()
        let id = try #require(world.id(first))
        for _ in 0..<200 {
            world.change { $0.requestFailed(id, successesBefore: 50, now: $1) }
            world.run(20)
        }
        #expect(world.standing(first) == .serving)
    }
}
