import HTTP2
import Host
import Raft
import Testing

@testable import PeerTransport

/// Databases from one transport to another.
@Suite(.serialized) struct SnapshotTransferTests {
    static let message = Message(
        kind: .snapshot, to: 2, from: 1, term: 4,
        snapshot: Snapshot(
            index: 0x1234, term: 3, confState: ConfState(voters: [1, 2]), data: [UInt8](repeating: 7, count: 5_000)))

    private func pair(_ body: (TestMember, TestMember) throws -> Void) throws {
        let (one, two) = (try TestMember(1), try TestMember(2))
        defer {
            one.stop()
            two.stop()
        }
        for member in [one, two] { member.transport.update(members: [one.asPeer, two.asPeer], removed: []) }
        try body(one, two)
    }

    @Test(arguments: [0, 1, 100_000, 5_000_001]) func aDatabaseArrivesWhole(_ size: Int) throws {
        try pair { (one, two) throws in
            one.transport.sendSnapshot(Self.message, database: TestDatabase(size: size))
            #expect(eventually { !one.sink.now.sent.isEmpty })
            #expect(one.sink.now.sent.map(\.1) == [true])
            #expect(two.sink.now.snapshots.map(\.0) == [Self.message])
            let path = "/snap/0000000000001234.snap.db"
            #expect(two.sink.now.snapshots.map(\.1) == [path])
            let file = try two.disk.open(path, .readOnly)
            var bytes = [UInt8](repeating: 0, count: size + 1)
            #expect(try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) } == size)
            #expect((0..<size).allSatisfy { bytes[$0] == TestDatabase.byte(at: $0) })
            #expect(try two.disk.list("/snap") == ["0000000000001234.snap.db"])
            #expect(two.metrics.snapshotReceives.labelled("1").value == 1)
            #expect(two.metrics.snapshotReceivesInFlight.labelled("1").value == 0)
            #expect(one.metrics.snapshotSends.labelled("2").value == 1)
            #expect(one.metrics.snapshotSendsInFlight.labelled("2").value == 0)
        }
    }

    @Test func theRateIsLimited() throws {
        let (one, two) = (try TestMember(1, snapshotRate: 4_000_000), try TestMember(2))
        defer {
            one.stop()
            two.stop()
        }
        for member in [one, two] { member.transport.update(members: [one.asPeer, two.asPeer], removed: []) }
        let began = ContinuousClock.now
        one.transport.sendSnapshot(Self.message, database: TestDatabase(size: 1_000_000))
        #expect(eventually { one.sink.now.sent.map(\.1) == [true] })
        // The last of ten pieces leaves after nine tenths of the time.
        #expect(ContinuousClock.now - began >= .milliseconds(220))
    }

    @Test func aDatabaseThatCannotBeReadLeavesNothingBehind() throws {
        try pair { (one, two) throws in
            one.transport.sendSnapshot(Self.message, database: TestDatabase(size: 3_000_000, failsAt: 2_000_000))
            #expect(eventually { !one.sink.now.sent.isEmpty })
            #expect(one.sink.now.sent.map(\.1) == [false])
            #expect(one.sink.now.unreachable == [2])
            #expect(eventually { two.metrics.snapshotReceiveFailures.labelled("1").value == 1 })
            #expect(eventually { ((try? two.disk.list("/snap")) ?? ["?"]).isEmpty })
            #expect(two.sink.now.snapshots.isEmpty)
        }
    }

    @Test func aFullDiskIsAnAnswer() throws {
        try pair { (one, two) throws in
            // The receiving directory is gone, so the file cannot be made.
            try two.disk.removeTree("/snap")
            one.transport.sendSnapshot(Self.message, database: TestDatabase(size: 50_000))
            #expect(eventually { !one.sink.now.sent.isEmpty })
            #expect(one.sink.now.sent.map(\.1) == [false])
        }
    }

    @Test func aSnapshotForAStrangerFails() throws {
        let one = try TestMember(1)
        defer { one.stop() }
        one.transport.sendSnapshot(Self.message, database: TestDatabase(size: 10))
        #expect(eventually { one.sink.now.sent.map(\.1) == [false] })
    }

    @Test func whatIsNoSnapshotIsRefused() throws {
        try pair { (one, two) throws in
            let length: [UInt8] = [0, 0, 0, 0, 0xff, 0, 0, 0]
            for body in [[], [0, 0, 0], length, [0, 0, 0, 0, 0, 0, 0, 2, 0xff, 0xff]] as [[UInt8]] {
                var request = PeerRequest("POST", url: two.url + "/raft/snapshot", body: body)
                request.fields = one.transport.shared.settings.requestFields
                #expect(try one.client.request(request).wait().status == 400)
            }
            #expect(try two.disk.list("/snap").isEmpty)
        }
    }
}
