import Bytes
import Raft
import Records
import Testing

@Suite struct MembershipRecordTests {
    static let started = MemberRecord(id: 10, name: "a<b", peerURLs: ["http://127.0.0.1:2380"], clientURLs: ["http://h:1/?x&y"])
    static let learner = MemberRecord(id: 0x8e9e_05c5_2164_694d, peerURLs: ["http://l:2380"], isLearner: true)

    @Test func memberJSONIsGos() throws {
        try expect(
            Self.started,
            #"{"id":10,"peerURLs":["http://127.0.0.1:2380"],"name":"a\u003cb","clientURLs":["http://h:1/?x\u0026y"]}"#)
        try expect(Self.learner, #"{"id":10276657743932975437,"peerURLs":["http://l:2380"],"isLearner":true}"#)
        try expect(MemberRecord(id: 3), #"{"id":3,"peerURLs":null}"#)
        #expect(text(Self.started.attributesJSON) == #"{"name":"a\u003cb","clientURLs":["http://h:1/?x\u0026y"]}"#)
        #expect(text(Self.learner.raftAttributesJSON) == #"{"peerURLs":["http://l:2380"],"isLearner":true}"#)
        #expect(text(MemberRecord(id: 1).attributesJSON) == "{}")
    }

    @Test func memberChangeContext() throws {
        let promotion = MemberChangeContext(member: MemberRecord(id: 7), isPromotion: true)
        #expect(text(promotion.json) == #"{"id":7,"peerURLs":null,"isPromote":true}"#)
        #expect(try MemberChangeContext(decodingJSON: promotion.json) == promotion)
        let addition = MemberChangeContext(member: Self.learner)
        #expect(addition.json == Self.learner.json)
        #expect(try MemberChangeContext(decodingJSON: addition.json) == addition)
        #expect(try !MemberChangeContext(decodingJSON: Array(#"{"id":1,"isPromote":false,"more":[1]}"#.utf8)).isPromotion)
    }

    @Test(arguments: [
        "", "null", "[]", "{", #"{"id":"1"}"#, #"{"id":-1}"#, #"{"id":1,"peerURLs":"x"}"#, #"{"id":1,"peerURLs":[1]}"#,
        #"{"id":1,"isLearner":1}"#, #"{"id":1,"name":null,"clientURLs":{}}"#,
    ])
    func refusesMalformedMembers(_ json: String) {
        #expect(throws: DecodeError.self) { try MemberRecord(decodingJSON: Array(json.utf8)) }
    }

    @Test func downgrade() throws {
        let record = DowngradeRecord(targetVersion: "3.5.0", isEnabled: true)
        #expect(text(record.json) == #"{"target-version":"3.5.0","enabled":true}"#)
        #expect(try DowngradeRecord(decodingJSON: record.json) == record)
    }

    @Test func clusterVersions() throws {
        #expect(try ClusterVersion(parsing: "3.5.0") == ClusterVersion(3, 5))
        #expect(ClusterVersion(3, 5).description == "3.5.0")
        #expect(ClusterVersion(3, 10) > ClusterVersion(3, 9, 7))
        for text in ["", "3", "3.5", "3.5.0.1", "3.5.x", "+3.5.0", "3..0", " 3.5.0", "3.5.99999999999999999999"] {
            #expect(throws: DecodeError.self) { try ClusterVersion(parsing: text) }
        }
    }

    @Test func v2StoreRoundTrips() throws {
        let record = MembershipRecord(
            members: [Self.learner, Self.started], removed: [9, 0xffff_ffff_ffff_ffff, 8], clusterVersion: ClusterVersion(3, 5))
        #expect(record.members.map(\.id) == [Self.started.id, Self.learner.id])
        #expect(try MembershipRecord(decodingV2Store: record.v2Store) == record)
        #expect(try MembershipRecord(decodingV2Store: MembershipRecord().v2Store) == MembershipRecord())
        let reordered = MembershipRecord(
            members: [Self.started, Self.learner], removed: [8, 9, 0xffff_ffff_ffff_ffff], clusterVersion: ClusterVersion(3, 5))
        #expect(reordered.v2Store == record.v2Store)
    }

    @Test func v2StoreHasEtcdsShape() throws {
        let record = MembershipRecord(members: [MemberRecord(id: 0x1a, name: "n", peerURLs: ["http://p"])], removed: [2])
        let json = try JSON(parsing: record.v2Store)
        #expect(json.object?.map(\.name) == ["Root", "WatcherHub", "CurrentIndex", "Stats", "CurrentVersion"])
        #expect(json["CurrentIndex"]?.uint64 == 3)
        let queue = json["WatcherHub"]?["EventHistory"]?["Queue"]
        #expect(queue?["Events"]?.array?.count == 1_000 && queue?["Capacity"]?.uint64 == 1_000)
        let expected = #"""
            {"Path":"/","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{
            "0":{"Path":"/0","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{
            "members":{"Path":"/0/members","CreatedIndex":1,"ModifiedIndex":1,
            "ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{
            "1a":{"Path":"/0/members/1a","CreatedIndex":1,"ModifiedIndex":1,
            "ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{
            "attributes":{"Path":"/0/members/1a/attributes","CreatedIndex":2,"ModifiedIndex":2,
            "ExpireTime":"0001-01-01T00:00:00Z",
            "Value":"{\"name\":\"n\"}","Children":null},
            "raftAttributes":{"Path":"/0/members/1a/raftAttributes","CreatedIndex":1,"ModifiedIndex":1,
            "ExpireTime":"0001-01-01T00:00:00Z","Value":"{\"peerURLs\":[\"http://p\"]}","Children":null}}}}},
            "removed_members":{"Path":"/0/removed_members","CreatedIndex":3,"ModifiedIndex":3,"ExpireTime":"0001-01-01T00:00:00Z",
            "Value":"","Children":{"2":{"Path":"/0/removed_members/2","CreatedIndex":3,"ModifiedIndex":3,
            "ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":null}}}}},
            "1":{"Path":"/1","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{}}}}
            """#
        #expect(json["Root"]?.text() == expected.split(separator: "\n").joined())
    }

    @Test(arguments: [
        "{}", #"{"Root":{"Children":{"0":{"Children":{"members":{"Children":{"xyz":{"Children":{}}}}}}}}}"#,
        #"{"Root":{"Children":{"0":{"Children":{"members":{"Children":{"1":{"Children":{}}}}}}}}}"#,
        #"{"Root":{"Children":{"0":{"Children":{"members":{"Children":{"1":{"Children":{"raftAttributes":{"Value":"{"}}}}}}}}}}"#,
        #"{"Root":{"Children":{"0":{"Children":{"removed_members":{"Children":{"-1":{}}}}}}}}"#,
        #"{"Root":{"Children":{"0":{"Children":{"version":{"Value":"x"}}}}}}"#,
        #"{"Root":{"Children":{"0":{"Children":{"version":{}}}}}}"#,
    ])
    func refusesMalformedStores(_ json: String) {
        #expect(throws: DecodeError.self) { try MembershipRecord(decodingV2Store: Array(json.utf8)) }
    }

    @Test func passesOverUsersKeys() throws {
        let json = #"{"Root":{"Children":{"1":{"Children":{"a":{"Value":"b"}}},"2":{"Children":{"roles":{"Children":{}}}}}}}"#
        #expect(try MembershipRecord(decodingV2Store: Array(json.utf8)) == MembershipRecord())
    }

    /// The ids of a cluster that etcd 3.5.30 made: `--initial-cluster node1=http://127.0.0.1:30350`, token `fixture`.
    @Test func identities() {
        let member = MemberIdentity.memberID(peerURLs: ["http://127.0.0.1:30350"], clusterToken: "fixture")
        #expect(member == 4_918_600_605_099_214_201)
        #expect(MemberIdentity.clusterID(members: [member]) == 2_699_536_834_383_489_986)
        #expect(MemberIdentity.text(member) == "44426130c2f5c579")
        #expect(MemberIdentity.parse("44426130c2f5c579") == member)
        let two = ["http://b", "http://a"]
        #expect(
            MemberIdentity.memberID(peerURLs: two, clusterToken: "t", unixSeconds: 5)
                == MemberIdentity.memberID(peerURLs: two.reversed(), clusterToken: "t5"))
        #expect(MemberIdentity.clusterID(members: [2, 1]) == MemberIdentity.clusterID(members: [1, 2]))
        for text in ["", "g", "+1", "-1", "12345678901234567"] { #expect(MemberIdentity.parse(text) == nil) }
    }

    private func expect(_ member: MemberRecord, _ json: String) throws {
        #expect(text(member.json) == json)
        #expect(try MemberRecord(decodingJSON: Array(json.utf8)) == member)
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
