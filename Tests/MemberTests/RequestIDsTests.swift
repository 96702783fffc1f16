import Testing

@testable import Member

@Suite struct RequestIDsTests {
    private func ids(_ member: UInt64, salt: UInt64, lane: UInt64 = 0) -> [UInt64] {
        var ids = RequestIDs(memberID: member, salt: salt, lane: lane)
        return (0..<1_000).map { _ in ids.next() }
    }

    /// Found by the simulator: a clock that was set back gave the ids of an earlier life again.
    @Test func twoLivesHaveTheirOwn() {
        #expect(Set(ids(3, salt: 0x1234_5678_9abc) + ids(3, salt: 0x9abc_1234_5678)).count == 2_000)
    }

    @Test func membersAndLanesHaveTheirOwnAlsoWhereTheCountWraps() {
        let wrapping = UInt64.max - 500
        let all =
            ids(3, salt: wrapping) + ids(3, salt: wrapping, lane: 1) + ids(3, salt: wrapping, lane: 15) + ids(4, salt: wrapping)
        #expect(Set(all).count == 4_000)
        #expect(all.prefix(3_000).allSatisfy { $0 >> 48 == 3 } && all.suffix(1_000).allSatisfy { $0 >> 48 == 4 })
    }
}
