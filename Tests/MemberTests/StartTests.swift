import EtcdAPI
import Host
import Raft
import Records
import Testing

@testable import MVCC
@testable import Member

@Suite struct StartTests {
    @Test func aloneItBecomesLeaderAndTellsTheClusterWhoItIs() throws {
        let bench = Bench()
        try bench.start()
        let status = bench.published.status
        #expect(bench.notices == [.created])
        #expect(status.leader == 7 && status.isOnlyVoter && status.readsAreLinearizable)
        try bench.run(to: bench.now + .seconds(1))
        let member = try #require(bench.published.status.membership.members.first)
        #expect(member.name == "m" && member.clientURLs == ["http://127.0.0.1:2379"])
        #expect(member.peerURLs == ["http://127.0.0.1:2380"])
        #expect(bench.published.status.membership.clusterVersion == ClusterVersion(3, 6))
    }

    /// As etcd 3.6 does it: version and page file first, then the program.
    @Test func aDowngradeIsFollowedByThePageFileAndEndsWithTheLowerRelease() throws {
        let bench = Bench()
        bench.settings.behavesAs = ClusterVersion(3, 6)
        try bench.start()
        try bench.run(to: bench.now + .seconds(1))
        #expect(try storageVersion(bench) == "3.6.0")
        _ = try bench.propose([.downgradeInfoSet(DowngradeInfoSetRequest(enabled: true, ver: "3.5.0"))])
        try bench.run(to: bench.now + .seconds(1))
        #expect(bench.published.status.membership.clusterVersion == ClusterVersion(3, 5))
        #expect(try storageVersion(bench) == nil)
        #expect(bench.published.status.membership.downgrade?.isEnabled == true)
        bench.settings.behavesAs = ClusterVersion(3, 5)
        var random = SeededRandom(seed: 5)
        bench.crash(.kept, &random)
        try bench.start()
        try bench.run(to: bench.now + .seconds(1))
        #expect(bench.published.status.membership.clusterVersion == ClusterVersion(3, 5))
        #expect(bench.published.status.membership.downgrade?.isEnabled == false)
    }

    private func storageVersion(_ bench: Bench) throws -> String? {
        let pages = try bench.committer.file.beginRead()
        let value = try pages.bucket(Array("meta".utf8))?.value(Array("storageVersion".utf8)).map { [UInt8]($0) }
        return value.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func putsAreAppliedInOrderAndAnsweredInTheTurnThatPublishesThem() throws {
        let bench = Bench()
        try bench.start()
        let answers = try bench.propose((0..<20).map { put("k\($0 % 4)", "v\($0)") })
        for (offset, answer) in answers.enumerated() {
            let response = try PutResponse(decoding: try #require(answer?.response))
            #expect(response.header?.revision == Int64(offset + 2))
            #expect(response.header?.memberId == 7 && response.header?.clusterId == 9)
        }
        #expect(bench.published.view.currentRevision == 21)
        let stored = try #require(try bench.value("k3"))
        #expect(stored.version == 5 && stored.createRevision == 5 && stored.modRevision == 21)
        #expect(stored.value == Array("v19".utf8))
    }

    @Test func readIndexIsAnsweredByALeader() throws {
        let bench = Bench()
        try bench.start()
        #expect(try isDone(bench.answer(to: .readIndex)))
    }

    @Test func commitPagesIsAnsweredOnlyOnceThePageFileHoldsEverything() throws {
        let bench = Bench()
        try bench.start()
        try bench.run(to: bench.now + .seconds(1))
        bench.commitsInline = false
        _ = try bench.propose([put("a", "1")])
        #expect(try !isDone(bench.answer(to: .commitPages)))
        let before = bench.answers.count
        try bench.commitPages()
        #expect(bench.answers.count == before)
        try bench.turn()
        #expect(bench.answers.count == before + 1)
        let pages = try bench.committer.file.beginRead()
        let restored = try Store.restore(from: pages) { _ in }.store
        #expect(restored.currentRevision == 2)
    }
}
