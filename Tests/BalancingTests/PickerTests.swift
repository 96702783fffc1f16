import Balancing
import Host
import Testing

struct PickerTests {
    private let now = Instant(nanoseconds: 1_000_000_000)

    private func view(_ standings: [Standing], leader: Int? = nil, near: [Int] = [], priorities: [UInt16] = []) -> BalancingView {
        BalancingView(
            endpoints: standings.enumerated().map { index, standing in
                BalancingView.Endpoint(
                    id: EndpointID(rawValue: UInt32(index)), address: EndpointAddress(scheme: .http, host: "e\(index)", port: 1),
                    standing: standing, isLeader: leader == index, isPreferred: near.contains(index),
                    priority: index < priorities.count ? priorities[index] : 0)
            })
    }

    private func picker(_ policy: BalancingSettings.Policy, _ view: BalancingView, leader: Bool = false) -> Picker {
        var settings = BalancingSettings()
        settings.policy = policy
        settings.prefersLeaderForWrites = leader
        var picker = Picker(settings, seed: 42)
        picker.update(view)
        return picker
    }

    private func counts(_ picker: inout Picker, _ kind: RequestKind, _ number: Int, affinity: (Int) -> UInt64? = { _ in nil })
        -> [UInt32: Int]
    {
        var counts: [UInt32: Int] = [:]
        for turn in 0..<number {
            if let id = picker.pick(kind, affinity: affinity(turn), now: now) { counts[id.rawValue, default: 0] += 1 }
        }
        return counts
    }

    @Test func roundRobinIsEven() {
        var picker = picker(.roundRobin, view([.serving, .serving, .serving, .down]))
        #expect(counts(&picker, .read, 300) == [0: 100, 1: 100, 2: 100])
    }

    @Test func leastLoadedAvoidsTheBusyOne() {
        var picker = picker(.leastLoaded, view([.serving, .serving]))
        for _ in 0..<10 { picker.began(EndpointID(rawValue: 0)) }
        #expect(counts(&picker, .read, 100) == [1: 100])
    }

    @Test func leastLoadedAvoidsTheSlowOneUntilItsLatencyFades() {
        var picker = picker(.leastLoaded, view([.serving, .serving]))
        for (id, milliseconds) in [(UInt32(0), Int64(50)), (1, 1)] {
            picker.began(EndpointID(rawValue: id))
            picker.finished(EndpointID(rawValue: id), .succeeded, latency: .milliseconds(milliseconds), now: now)
        }
        #expect(counts(&picker, .read, 100) == [1: 100])
        let later = now + .seconds(3_600)
        let chosen = Set((0..<100).compactMap { _ in picker.pick(.read, now: later)?.rawValue })
        #expect(chosen.contains(0))
    }

    @Test func whatCameInOnePieceGoesToOneEndpoint() {
        var picker = picker(.leastLoaded, view([.serving, .serving, .serving]))
        var ofBursts: Set<UInt32> = []
        for _ in 0..<30 {
            let first = picker.pickInBurst(.read, now: now)
            let others = (0..<9).map { _ in picker.pickInBurst(.read, now: now) }
            #expect(others.allSatisfy { $0 == first })
            ofBursts.formUnion(first.map { [$0.rawValue] } ?? [])
            picker.endBurst()
        }
        #expect(ofBursts == [0, 1, 2])
    }

    @Test func aLongBurstIsDividedByWhatIsInFlight() {
        var picker = picker(.leastLoaded, view([.serving, .serving]))
        var counts: [UInt32: Int] = [:]
        for _ in 0..<320 {
            guard let id = picker.pickInBurst(.read, now: now) else { return #expect(Bool(false), "nothing was chosen") }
            picker.began(id)
            counts[id.rawValue, default: 0] += 1
        }
        #expect(counts == [0: 160, 1: 160])
    }

    @Test func aBurstEndsWhenItsEndpointIsLeft() {
        var picker = picker(.leastLoaded, view([.serving, .serving]))
        guard let first = picker.pickInBurst(.read, now: now) else { return #expect(Bool(false), "nothing was chosen") }
        picker.update(view(first.rawValue == 0 ? [.down, .serving] : [.serving, .down]))
        #expect((0..<20).allSatisfy { _ in picker.pickInBurst(.read, now: now) != first })
    }

    @Test func roundRobinIsEvenInABurstToo() {
        var picker = picker(.roundRobin, view([.serving, .serving, .serving]))
        let chosen = (0..<6).compactMap { _ in picker.pickInBurst(.read, now: now)?.rawValue }
        #expect(Set(chosen[..<3]) == [0, 1, 2] && Set(chosen[3...]) == [0, 1, 2])
    }

    @Test func quickFailuresDrawNoTraffic() {
        var picker = picker(.leastLoaded, view([.serving, .serving]))
        let failing = EndpointID(rawValue: 0)
        let working = EndpointID(rawValue: 1)
        for id in [failing, working] {
            picker.began(id)
            picker.finished(id, .succeeded, latency: .milliseconds(5), now: now)
        }
        picker.began(failing)
        picker.finished(failing, .unavailable, latency: .milliseconds(0), now: now)
        #expect(counts(&picker, .read, 100)[1] ?? 0 > 20)
    }

    @Test func stickyStaysAndOnlyWhatWasOnALostEndpointMoves() {
        var sticky = picker(.sticky, view([.serving, .serving, .serving]))
        let before = (0..<200).map { sticky.pick(.connection, affinity: UInt64($0), now: now)!.rawValue }
        #expect(Set(before).count == 3)
        #expect((0..<200).map { sticky.pick(.connection, affinity: UInt64($0), now: now)!.rawValue } == before)
        sticky.update(view([.serving, .down, .serving]))
        let after = (0..<200).map { sticky.pick(.connection, affinity: UInt64($0), now: now)!.rawValue }
        for (old, new) in zip(before, after) { #expect(old == 1 ? new != 1 : new == old) }
    }

    @Test func writesGoToTheLeader() {
        var picker = picker(.leastLoaded, view([.serving, .serving, .serving], leader: 1), leader: true)
        #expect(counts(&picker, .write, 50) == [1: 50])
        #expect(counts(&picker, .read, 200).count == 3)
        picker.update(view([.serving, .down, .serving], leader: 1))
        #expect(counts(&picker, .write, 50)[1] == nil)
    }

    @Test func nearOnesFirstAndOthersWhenTheyAreTried() {
        var picker = picker(.roundRobin, view([.serving, .serving, .serving], near: [2]))
        #expect(counts(&picker, .read, 30) == [2: 30])
        #expect(picker.pick(.read, excluding: [EndpointID(rawValue: 2)], now: now) != nil)
        picker.update(view([.serving, .serving, .down], near: [2]))
        #expect(counts(&picker, .read, 30) == [0: 15, 1: 15])
    }

    @Test func lowerPrioritiesWaitTheirTurn() {
        var picker = picker(.roundRobin, view([.serving, .serving, .serving], priorities: [10, 20, 10]))
        #expect(counts(&picker, .read, 30) == [0: 15, 2: 15])
        picker.update(view([.down, .serving, .down], priorities: [10, 20, 10]))
        #expect(counts(&picker, .read, 30) == [1: 30])
    }

    @Test func nothingBadIsTriedWhileSomethingGoodExists() {
        var picker = picker(.roundRobin, view([.serving, .down, .ejected]))
        #expect(picker.pick(.read, excluding: [EndpointID(rawValue: 0)], now: now) == nil)
    }

    @Test func endpointsThatGoAndComeAreNotMixedUp() {
        var picker = picker(.leastLoaded, view([.serving, .serving]))
        let first = EndpointID(rawValue: 0)
        picker.began(first)
        picker.update(BalancingView(endpoints: [view([.serving, .serving]).endpoints[1]]))
        picker.finished(first, .succeeded, latency: nil, now: now)
        #expect(picker.inFlight(EndpointID(rawValue: 1)) == 0 && picker.inFlight(first) == 0)
        #expect(!picker.isUsable(first) && picker.isUsable(EndpointID(rawValue: 1)))
    }
}
