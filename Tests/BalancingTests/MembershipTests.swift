import Balancing
import Host
import Testing

/// Following the cluster's members. #3092 and #2835: a failed refresh emptied the list; #8132: replacing all members lost the cluster;
/// #3177: stuck on the old ensemble after a disaster.
struct MembershipTests {
    private let seeds = World.endpoints(3)

    private func member(_ id: UInt64, _ address: EndpointAddress) -> MemberListing.Member {
        MemberListing.Member(id: id, clientAddresses: [address])
    }

    private func listing(_ members: [(UInt64, EndpointAddress)], cluster: UInt64 = World.cluster) -> MemberListing {
        MemberListing(clusterID: cluster, members: members.map { member($0.0, $0.1) })
    }

    private func address(_ number: Int) -> EndpointAddress {
        EndpointAddress(scheme: .http, host: "10.0.0.\(number)", port: 2379)
    }

    /// #3092, #2835
    @Test func failedAndEmptyRefreshesChangeNothing() {
        var world = World(seeds: seeds)
        world.run(100_000)
        #expect(world.addresses == seeds.map(\.address))
        world.listing = MemberListing(clusterID: World.cluster, members: [])
        world.run(100_000)
        #expect(world.addresses == seeds.map(\.address))
        world.change { $0.seedsChanged([], now: $1) }
        #expect(world.addresses == seeds.map(\.address))
        world.listing = listing([(9, address(9))], cluster: 7)
        world.run(100_000)
        #expect(world.addresses == seeds.map(\.address))
    }

    /// #8132
    /// The thread that asks would spin.
    @Test func withoutRefreshesNothingWakesForThem() {
        var settings = BalancingSettings()
        settings.refreshInterval = Instant.Span(nanoseconds: 0)
        let world = World(settings, seeds: World.endpoints(3))
        #expect(world.monitor.nextWakeUp.map { $0 > world.now } ?? true)
    }

    /// Found by the simulator: the only member that served for a moment was not asked who the others are by now.
    @Test func anOverdueListIsAskedForAsSoonAsSomebodyServes() {
        var world = World(seeds: seeds)
        let old = seeds.enumerated().map { (UInt64($0.offset + 1), $0.element.address) }
        world.listing = listing(old)
        world.run(5_000)
        for seed in seeds { world.behaviours[seed.address] = .refuses }
        world.run(60_000)
        world.listing = listing([old[0], (4, address(4))])
        world.memberIDs[address(4)] = 4
        world.behaviours[address(1)] = .works
        for _ in 0..<30_000 where world.standing(address(1)) != .serving { world.run(1) }
        #expect(world.standing(address(1)) == .serving)
        #expect(world.addresses.contains(address(4)))
    }

    @Test func allMembersAreReplacedOneAfterTheOther() {
        var world = World(seeds: seeds)
        var members = seeds.enumerated().map { (UInt64($0.offset + 1), $0.element.address) }
        world.listing = listing(members)
        world.run(5_000)
        for (index, number) in [4, 5, 6].enumerated() {
            world.behaviours[members[index].1] = .refuses
            members[index] = (UInt64(number), address(number))
            world.memberIDs[address(number)] = UInt64(number)
            world.listing = listing(members)
            // A member that went down is a reason to look at once.
            world.run(5_000)
            #expect(world.standing(address(number)) == .serving)
        }
        #expect(world.view.endpoints.filter { $0.standing == .serving }.map(\.address) == [address(4), address(5), address(6)])
        // The list is kept for the next start, which finds the cluster although no seed is left.
        let kept = world.stored.last
        #expect(kept?.members == [address(4), address(5), address(6)] && kept?.clusterID == World.cluster)
        var restarted = World(
            seeds: seeds, known: kept, behaviours: Dictionary(uniqueKeysWithValues: seeds.map { ($0.address, .refuses) }),
            memberIDs: [address(4): 4, address(5): 5, address(6): 6])
        restarted.run(3_000)
        #expect(restarted.view.endpoints.filter { $0.standing == .serving }.count == 3)
    }

    @Test func whatWasKeptForOtherSeedsIsNotUsed() {
        let known = KnownCluster(clusterID: 7, seeds: [address(8)], members: [address(9)])
        var world = World(seeds: seeds, known: known)
        world.run(100)
        #expect(world.addresses == seeds.map(\.address))
        #expect(world.monitor.pinnedCluster == World.cluster)
    }

    @Test func oneMemberUnderTwoAddressesIsUsedByTheOperators() {
        var world = World(seeds: seeds)
        let other = EndpointAddress(scheme: .http, host: "etcd-1.example", port: 2379)
        world.memberIDs[other] = 1
        world.listing = listing([(1, other), (2, address(2)), (3, address(3))])
        world.run(5_000)
        #expect(world.addresses == seeds.map(\.address))
        // Once the operator's address is dead, the member's own is used.
        world.behaviours[address(1)] = .refuses
        world.run(10_000)
        #expect(world.standing(other) == .serving)
    }

    @Test func loopbackAddressesOfRemoteMembersAreNotUsed() {
        var world = World(seeds: seeds)
        let local = EndpointAddress(scheme: .http, host: "localhost", port: 2379)
        world.listing = listing([(1, address(1)), (2, address(2)), (3, address(3)), (4, local)])
        world.run(5_000)
        #expect(!world.addresses.contains(local))
    }

    @Test func removedMembersAreLeftAndGone() {
        var world = World(seeds: [seeds[0]])
        world.memberIDs[address(2)] = 2
        world.listing = listing([(1, address(1)), (2, address(2))])
        world.run(5_000)
        #expect(world.addresses == [address(1), address(2)])
        world.listing = listing([(1, address(1))])
        world.run(60_000)
        #expect(world.addresses == [address(1)])
        #expect(world.left.map(\.reason) == [.removed] && world.removed.count == 1)
    }

    @Test func newSeedsTakeThePlaceOfTheOld() {
        var world = World(seeds: seeds)
        world.run(1_000)
        world.change { $0.seedsChanged([Seed(address(3)), Seed(address(4))], now: $1) }
        world.run(1_000)
        #expect(world.addresses == [address(3), address(4)])
        #expect(world.view.endpoints.allSatisfy { $0.standing == .serving })
    }

    // MARK: The cluster

    @Test func theClusterOfMostIsPinned() {
        var world = World(seeds: seeds, behaviours: [address(1): .inCluster(7)])
        world.run(100)
        #expect(world.monitor.pinnedCluster == World.cluster)
        #expect(world.standing(address(1)) == .forbidden)
    }

    /// Found by the simulator: the one endpoint of another cluster answered first, and all others were forbidden for good.
    @Test func whoAnswersFirstDoesNotDecideForTheOthers() {
        var world = World(
            seeds: seeds, behaviours: [address(1): .inCluster(7), address(2): .refuses, address(3): .refuses])
        world.run(100)
        #expect(world.monitor.pinnedCluster == 7)
        #expect(world.stored.allSatisfy { $0.clusterID == nil })
        for seed in seeds.dropFirst() { world.behaviours[seed.address] = .works }
        world.run(15_000)
        #expect(world.monitor.pinnedCluster == World.cluster)
        #expect(world.standing(address(1)) == .forbidden)
        #expect(world.stored.last?.clusterID == World.cluster)
    }

    /// Found by the simulator: seeds that were never up all at once did not count against the one that answered first.
    @Test func seedsNeedNotAnswerAtTheSameTimeToOutvoteTheFirst() {
        var world = World(
            seeds: seeds, behaviours: [address(1): .inCluster(7), address(2): .refuses, address(3): .refuses])
        world.run(100)
        world.behaviours[address(2)] = .works
        world.run(15_000)
        #expect(world.monitor.pinnedCluster == 7)
        world.behaviours[address(2)] = .refuses
        world.behaviours[address(3)] = .works
        world.run(15_000)
        #expect(world.monitor.pinnedCluster == World.cluster)
        #expect(world.standing(address(1)) == .forbidden)
        #expect(world.standing(address(3)) == .serving)
        // Not for the next start, as long as it is hearsay of one that is down.
        #expect(world.stored.allSatisfy { $0.clusterID == nil })
        world.behaviours[address(2)] = .works
        world.run(15_000)
        #expect(world.stored.last?.clusterID == World.cluster)
    }

    /// Found by the simulator: those who had answered were gone when the last first probe was over, and whoever came back first would decide.
    @Test func whatMostHaveSaidCountsThoughTheyHaveGone() {
        var world = World(seeds: seeds, behaviours: [address(1): .hangs])
        world.run(100)
        #expect(world.monitor.pinnedCluster == nil)
        for number in 2...3 { world.behaviours[address(number)] = .refuses }
        world.run(15_000)
        #expect(world.standing(address(2)) == .down && world.standing(address(3)) == .down)
        #expect(world.monitor.pinnedCluster == World.cluster)
        world.behaviours[address(1)] = .inCluster(7)
        world.run(15_000)
        #expect(world.standing(address(1)) == .forbidden)
    }

    /// Found by the simulator: a stream that went to a slow endpoint when there was no other stayed there for good.
    @Test func anEndpointIsLeftAgainAfterNobodyServed() {
        var world = World(seeds: seeds, behaviours: [address(1): .hangs])
        world.run(5_000)
        #expect(world.left.map(\.address) == [address(1)])
        for number in 2...3 { world.behaviours[address(number)] = .refuses }
        world.run(5_000)
        world.forgetWhatHappened()
        world.behaviours[address(2)] = .works
        world.run(15_000)
        #expect(world.left.contains { $0.address == address(1) })
    }

    @Test func theOperatorsClusterIsPinnedWhateverIsFound() {
        var settings = BalancingSettings()
        settings.clusterID = 7
        var world = World(settings, seeds: seeds)
        world.run(100_000)
        #expect(world.view.endpoints.allSatisfy { $0.standing == .forbidden })
        #expect(world.monitor.pinnedCluster == 7)
    }

    /// #3177
    @Test func aRestoredClusterIsTakenAfterAWhile() {
        var world = World(seeds: seeds)
        world.run(1_000)
        for seed in seeds { world.behaviours[seed.address] = .inCluster(7) }
        world.run(5_000)
        #expect(world.view.endpoints.allSatisfy { $0.standing == .forbidden })
        world.run(10_000)
        #expect(world.monitor.pinnedCluster == 7)
        #expect(world.view.endpoints.allSatisfy { $0.standing == .serving })
        // One stray endpoint of another cluster does not move anything.
        world.behaviours[address(1)] = .inCluster(8)
        world.run(60_000)
        #expect(world.monitor.pinnedCluster == 7)
    }
}
