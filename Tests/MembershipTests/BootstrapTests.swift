import Membership
import Records
import Testing

@Suite struct BootstrapTests {
    static let named = [
        NamedMember(name: "m1", peerURLs: ["http://127.0.0.1:12381"]),
        NamedMember(name: "m2", peerURLs: ["http://127.0.0.1:12382"]),
        NamedMember(name: "m3", peerURLs: ["http://localhost:12393", "http://127.0.0.1:12383"]),
    ]
    /// What etcd 3.5.30 answered to `/members` in a cluster founded like that with the token "tok".
    static let answer =
        #"[{"id":1868498750021291136,"peerURLs":["http://127.0.0.1:12382"],"name":"m2","clientURLs":["http://127.0.0.1:12372"]},"#
        + #"{"id":1921154599182462263,"peerURLs":["http://127.0.0.1:12383","http://localhost:12393"],"name":"m3"},"#
        + #"{"id":8021997990221717506,"peerURLs":["http://127.0.0.1:12381"],"name":"m1","isLearner":true}]"#

    private func running() throws -> RunningCluster {
        try RunningCluster(decodingJSON: Array(Self.answer.utf8), header: "1c0cc1230b7f88b7")
    }

    @Test func foundersHaveTheIDsThatEtcdGivesThem() throws {
        let founders = Bootstrap.founders(Self.named, token: "tok")
        #expect(founders.map(\.id) == [1_868_498_750_021_291_136, 1_921_154_599_182_462_263, 8_021_997_990_221_717_506])
        #expect(founders.map(\.name) == ["m2", "m3", "m1"])
        #expect(MemberIdentity.clusterID(members: founders.map(\.id)) == 0x1c0c_c123_0b7f_88b7)
    }

    @Test func aRunningClusterIsRead() throws {
        let cluster = try running()
        #expect(cluster.id == 0x1c0c_c123_0b7f_88b7)
        #expect(cluster.members.map(\.name) == ["m2", "m3", "m1"] && cluster.members[2].isLearner)
        for (text, header) in [("[]", "xyz"), ("{}", "1"), ("[{\"id\":\"a\"}]", "1"), ("[1]", "1"), ("", "1")] {
            #expect(throws: (any Error).self) { try RunningCluster(decodingJSON: Array(text.utf8), header: header) }
        }
        #expect(throws: (any Error).self) { try RunningCluster(decodingJSON: Array(Self.answer.utf8), header: nil) }
    }

    @Test func whoServedBeforeIsNotFoundedAgain() throws {
        let founders = Bootstrap.founders(Self.named, token: "tok")
        let cluster = try running()
        #expect(throws: BootstrapRefusal.alreadyBootstrapped(founders[0].id)) {
            try Bootstrap.check(founders[0], isNewTo: cluster)
        }
        // Known, but it never published its URLs.
        try Bootstrap.check(founders[1], isNewTo: cluster)
        try Bootstrap.check(founders[0], isNewTo: nil)
    }

    @Test func joiningMembersTakeTheIDsTheClusterKnows() throws {
        let cluster = try running()
        let members = try Bootstrap.identify(Self.named, in: cluster) { $0 == $1 }
        #expect(members.map(\.id) == cluster.members.map(\.id) && members.map(\.name) == ["m2", "m3", "m1"])
        #expect(throws: BootstrapRefusal.countDiffers(cluster)) {
            try Bootstrap.identify(Array(Self.named.dropLast()), in: cluster) { $0 == $1 }
        }
        let other = Self.named.dropLast() + [NamedMember(name: "m3", peerURLs: ["http://127.0.0.1:1"])]
        #expect(throws: BootstrapRefusal.noMatch(cluster.members[1], cluster)) {
            try Bootstrap.identify(Array(other), in: cluster) { $0 == $1 }
        }
    }

    @Test func versionsThatDoNotFitAreRefusedByName() throws {
        func answer(_ server: String, _ cluster: String) throws -> PeerVersions {
            try PeerVersions(decodingJSON: Array("{\"etcdserver\":\"\(server)\",\"etcdcluster\":\"\(cluster)\"}".utf8))
        }
        func version(_ answers: [PeerVersions], _ wanted: ClusterVersion? = nil) throws -> ClusterVersion {
            try Bootstrap.version(answers: answers, wanted: wanted)
        }
        #expect(try version([answer("3.5.30", "3.5.0")]) == ClusterVersion(3, 5))
        #expect(try version([answer("3.6.1-rc.1", "3.6.0"), answer("3.7.1", "3.6.0")]) == ClusterVersion(3, 6))
        #expect(try version([answer("3.6.1", "3.0.0"), answer("3.5.1", "not_decided")]) == ClusterVersion(3, 5))
        #expect(try version([answer("3.5.30", "3.5.0")], ClusterVersion(3, 6, 14)) == ClusterVersion(3, 6, 14))
        let refused: [([PeerVersions], ClusterVersion?)] = [
            ([], nil), ([try answer("3.5.1", "not_decided")], nil), ([try answer("3.4.23", "3.4.0")], nil),
            ([try answer("3.6.1", "3.6.0")], ClusterVersion(3, 5, 30)),
            ([try answer("3.5.30", "3.5.0")], ClusterVersion(3, 7, 1)),
            ([try answer("3.9.0", "3.8.0")], nil),
        ]
        for (answers, wanted) in refused { #expect(throws: BootstrapRefusal.self) { try version(answers, wanted) } }
    }
}
