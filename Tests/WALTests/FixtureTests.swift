import Bytes
import Host
import Raft
import Records
import Simulation
import Testing

@testable import WAL

@Suite struct FixtureTests {
    /// Every record that etcd wrote, decoded to values and written again, gives the same bytes.
    @Test(arguments: Fixtures.versions) func rewritesTheSegmentByteForByte(_ version: String) throws {
        let disk = try Fixtures.disk(version)
        let name = try #require(SegmentName(Fixtures.segment))
        let file = try disk.open("/m/wal/\(name)", .readOnly)
        var reader = try LogReader([OpenSegment(name: name, path: name.description, file: file)], progress: { _ in })
        var encoder = RecordEncoder(checksum: 0)
        var writer = ByteWriter()
        while let located = try reader.next() {
            switch located.record.kind {
            case .checksum: encoder.appendChecksum(to: &writer)
            case .metadata: encoder.append(.metadata, try located.decode(LogMetadata.self), to: &writer)
            case .entry: encoder.append(try located.decode(Entry.self), to: &writer)
            case .hardState: encoder.append(.hardState, try located.decode(HardState.self), to: &writer)
            case .snapshotMarker: encoder.append(.snapshotMarker, try located.decode(SnapshotMarker.self), to: &writer)
            }
        }
        #expect(reader.tail == .clean)
        #expect(writer.array() == Fixtures.read(version, "wal/\(Fixtures.segment)"))
    }

    @Test(arguments: Fixtures.versions) func replaysFromTheStart(_ version: String) throws {
        let replay = try replay(try Fixtures.disk(version))
        #expect(replay.tornTail == nil)
        #expect(replay.entries.map(\.index) == Array(1...LogIndex(replay.entries.count)))
        #expect(replay.hardState.term == 3)
        #expect(replay.hardState.commit == (version == "3.4.23" ? 160 : 162))
        #expect(replay.entries.count >= replay.hardState.commit)
        let identity = try LogMetadata(decoding: replay.metadata)
        #expect(replay.hardState.vote == identity.member)
        #expect(MemberIdentity.clusterID(members: [identity.member]) == identity.cluster)
    }

    @Test(arguments: Fixtures.versions) func startsFromTheSnapshotThatTheLogKnows(_ version: String) throws {
        let disk = try Fixtures.disk(version)
        let markers = try WriteAheadLog.snapshotMarkers(disk, logPath)
        #expect(markers.map(\.index) == [0, 101])
        let loaded = try SnapshotDirectory(disk, path: "/m/snap").loadNewest(matching: markers)
        let snapshot = try #require(loaded.snapshot)
        #expect(loaded.broken.isEmpty && snapshot.index == 101 && snapshot.term == 2)
        // etcd records the conf state since 3.5.
        #expect(markers[1].confState == (version == "3.4.23" ? nil : snapshot.confState))
        let replay = try replay(disk, from: markers[1])
        #expect(replay.entries.first?.index == 102)
        #expect(try LogMetadata(decoding: replay.metadata).member == snapshot.confState.voters[0])
    }

    @Test(arguments: Fixtures.versions) func readsTheMembershipInTheSnapshot(_ version: String) throws {
        let file = Fixtures.read(version, "snap/\(Fixtures.snapshot)")
        let snapshot = try SnapshotFile.decode(file)
        let membership = try MembershipRecord(decodingV2Store: snapshot.data)
        #expect(membership.members.map(\.id) == snapshot.confState.voters)
        #expect(membership.members[0].name == "node1")
        #expect(membership.members[0].clientURLs.count == 1 && !membership.members[0].isLearner)
        let id = MemberIdentity.memberID(peerURLs: membership.members[0].peerURLs, clusterToken: "fixture")
        #expect(membership.members[0].id == id)
        #expect(membership.removed.count == 1)
        #expect(membership.clusterVersion == (version == "3.4.23" ? ClusterVersion(3, 4) : ClusterVersion(3, 5)))
        #expect(try MembershipRecord(decodingV2Store: membership.v2Store) == membership)
        #expect(SnapshotFile.encode(snapshot) == file)
    }

    /// The membership entries that etcd replicates, read and written again.
    @Test(arguments: Fixtures.versions) func rewritesMembershipEntries(_ version: String) throws {
        let replay = try replay(try Fixtures.disk(version))
        var kinds: [ConfigurationChangeKind] = []
        for entry in replay.entries where entry.kind == .configurationChange {
            let change = try ConfigurationChange(decoding: entry.kind, entry.data)
            #expect(change.encoded().data == entry.data)
            kinds.append(change.steps[0].kind)
            guard change.steps[0].kind != .remove else { continue }
            let context = try MemberChangeContext(decodingJSON: change.context)
            #expect(context.json == change.context && context.member.id == change.steps[0].member)
        }
        #expect(kinds == [.addVoter, .addLearner, .remove])
    }

    @Test(arguments: Fixtures.versions) func rewritesRequestsOfTheSecondAPI(_ version: String) throws {
        let replay = try replay(try Fixtures.disk(version))
        let requests = replay.entries.compactMap { entry -> V2Request? in
            guard entry.kind == .normal, let request = try? V2Request(decoding: entry.data), request.method == "PUT" else {
                return nil
            }
            #expect(request.encoded() == entry.data)
            return request
        }
        let member = MemberIdentity.text(try LogMetadata(decoding: replay.metadata).member)
        let paths = Set(requests.map(\.path))
        #expect(paths == ["/0/members/\(member)/attributes", "/0/version"])
        var record = MemberRecord(id: 1)
        try record.decodeAttributes(json: try #require(requests.first { $0.path.hasSuffix("attributes") }).value)
        #expect(record.name == "node1")
    }

    /// A log that etcd wrote is continued, and holds both parts afterwards.
    @Test(arguments: Fixtures.versions) func continuesTheLog(_ version: String) throws {
        let disk = try Fixtures.disk(version)
        var log = try WriteAheadLog.open(disk, logPath, from: SnapshotMarker())
        let before = log.takeReplay()!
        let added = entries(log.lastIndex + 1...log.lastIndex + 5, term: 4)
        let state = HardState(term: 4, vote: 1, commit: log.lastIndex)
        try log.append(state, added, sync: true)
        try log.close()
        let after = try replay(disk)
        #expect(after.entries == before.entries + added)
        #expect(after.hardState == state)
        #expect(after.metadata == before.metadata)
    }
}
