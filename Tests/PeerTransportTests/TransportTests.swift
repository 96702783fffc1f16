import HTTP2
import Host
import Raft
import Records
import Testing

@testable import PeerTransport

/// Two transports over loopback sockets.
@Suite(.serialized) struct TransportTests {
    private func pair(_ body: (TestMember, TestMember) throws -> Void) throws {
        let (one, two) = (try TestMember(1), try TestMember(2))
        defer {
            one.stop()
            two.stop()
        }
        for member in [one, two] { member.transport.update(members: [one.asPeer, two.asPeer], removed: []) }
        try body(one, two)
    }

    static func append(_ index: LogIndex, size: Int = 10, to: MemberID = 2, from: MemberID = 1) -> Message {
        let entry = Entry(term: 1, index: index + 1, data: [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: size))
        return Message(
            kind: .append, to: to, from: from, term: 1, logTerm: 1, index: index, entries: [entry], commit: index)
    }

    static func beat(to: MemberID = 2, from: MemberID = 1) -> Message { Message(kind: .heartbeat, to: to, from: from, term: 1) }

    @Test func streamsCarryMessagesBothWays() throws {
        try pair { (one, two) throws in
            #expect(eventually { one.isLinked(to: two) && two.isLinked(to: one) })
            let appends = (1...500).map { Self.append(LogIndex($0), size: $0 == 250 ? 3 << 20 : 100) }
            for message in appends { one.transport.send([message]) }
            two.transport.send([Self.beat(to: 1, from: 2), Message(kind: .appendResponse, to: 1, from: 2, term: 1, index: 9)])
            #expect(eventually { two.sink.now.messages.count == 500 && one.sink.now.messages.count == 2 })
            #expect(two.sink.now.messages == appends)
            #expect(one.sink.now.messages.map(\.kind) == [.heartbeat, .appendResponse])
            #expect(one.transport.activeSince(2) != nil)
            #expect(one.metrics.peerBytesSent.labelled("2").value > 3 << 20)
            #expect(
                eventually { two.metrics.peerBytesReceived.labelled("1").value >= one.metrics.peerBytesSent.labelled("2").value })
            #expect(eventually { one.metrics.peerRoundTrip.labelled("2").count > 0 })
        }
    }

    @Test func aPeerThatGoesAndComesBackIsLinkedAgain() throws {
        let one = try TestMember(1)
        var two = try TestMember(2)
        defer { one.stop() }
        let members = [one.asPeer, two.asPeer]
        for member in [one, two] { member.transport.update(members: members, removed: []) }
        #expect(eventually { one.isLinked(to: two) })
        let port = two.port
        two.stop()
        #expect(eventually { one.transport.activeSince(2) == nil })
        one.transport.send([Self.beat()])
        #expect(eventually { one.sink.now.unreachable.contains(2) })
        two = try TestMember(2, port: port)
        defer { two.stop() }
        two.transport.update(members: members, removed: [])
        #expect(eventually { one.isLinked(to: two) && two.isLinked(to: one) })
        one.transport.send([Self.append(1)])
        #expect(eventually { two.sink.now.messages.filter { $0.kind == .append } == [Self.append(1)] }, "\(two.sink.now)")
    }

    /// A member that has just joined does not know its peers from the log yet: requests reach it, and it can answer.
    @Test func strangersTalkByRequests() throws {
        let (one, two) = (try TestMember(1), try TestMember(2))
        defer {
            one.stop()
            two.stop()
        }
        one.transport.update(members: [one.asPeer, two.asPeer], removed: [])
        #expect(
            eventually {
                one.transport.send([Self.beat()])
                return !two.sink.now.messages.isEmpty
            })
        two.transport.send([Self.beat(to: 1, from: 2)])
        #expect(eventually { one.sink.now.messages == [Self.beat(to: 1, from: 2)] })
        #expect(!one.isLinked(to: two))
        two.transport.update(members: [one.asPeer, two.asPeer], removed: [])
        #expect(eventually { one.isLinked(to: two) && two.isLinked(to: one) })
    }

    @Test func whoWasRemovedIsTold() throws {
        try pair { (one, two) throws in
            #expect(eventually { one.isLinked(to: two) })
            two.transport.update(members: [two.asPeer], removed: [1])
            #expect(eventually { one.sink.now.wasRemoved })
        }
    }

    @Test func aRemovedMembersRequestIsRefused() throws {
        let (one, two) = (try TestMember(1), try TestMember(2))
        defer {
            one.stop()
            two.stop()
        }
        two.transport.update(members: [two.asPeer], removed: [1])
        var request = PeerRequest("POST", url: two.url + "/raft", body: Self.beat().encoded())
        request.fields = one.transport.shared.settings.requestFields
        let answer = try one.client.request(request).wait()
        #expect(answer.status == 403)
        #expect(PeerFailure(answer: .success(answer)) == .removed)
        #expect(two.sink.now.messages.isEmpty)
    }

    @Test(arguments: [(0xbad, ClusterVersion(3, 5, 30)), (0xc1, ClusterVersion(2, 3, 8))] as [(UInt64, ClusterVersion)])
    func othersAreKeptOut(_ cluster: UInt64, _ version: ClusterVersion) throws {
        let (one, two) = (try TestMember(1, cluster: cluster, version: version), try TestMember(2))
        defer {
            one.stop()
            two.stop()
        }
        for path in ["/raft", "/raft/snapshot", "/raft/stream/message/1"] {
            var request = PeerRequest(path.contains("stream") ? "GET" : "POST", url: two.url + path, body: [])
            request.fields = one.transport.shared.settings.requestFields
            let answer = try one.client.request(request).wait()
            #expect(answer.status == 412)
            let text = cluster == 0xbad ? "cluster ID mismatch\n" : "incompatible version\n"
            #expect(String(decoding: answer.body, as: UTF8.self) == text)
            #expect(answer.first("x-etcd-cluster-id") == "c1")
        }
        one.transport.update(members: [one.asPeer, two.asPeer], removed: [])
        two.transport.update(members: [one.asPeer, two.asPeer], removed: [])
        one.transport.send([Self.beat()])
        #expect(eventually { !one.sink.now.unreachable.isEmpty })
        #expect(two.sink.now.messages.isEmpty)
    }

    @Test func streamRequestsAreChecked() throws {
        try pair { (one, two) throws in
            func status(_ path: String, to: String = "2", method: String = "GET") throws -> (Int, String) {
                var request = PeerRequest(method, url: two.url + path)
                request.fields = one.transport.shared.settings.requestFields.filter { $0.name != "X-PeerURLs" }
                request.fields.append(HTTPField("X-Raft-To", to))
                let answer = try one.client.request(request).wait()
                return (answer.status, String(decoding: answer.body, as: UTF8.self))
            }
            func expect(_ path: String, to: String = "2", method: String = "GET", _ wanted: (Int, String)) throws {
                let got = try status(path, to: to, method: method)
                #expect(got.0 == wanted.0 && got.1 == wanted.1, "\(path): \(got)")
            }
            #expect(eventually { two.isLinked(to: one) })
            try expect("/raft/stream/other/1", (404, "invalid path\n"))
            try expect("/raft/stream/message/xyz", (404, "invalid from\n"))
            try expect("/raft/stream/message/99", (404, "error sender not found\n"))
            try expect("/raft/stream/message/1", to: "3", (412, "to field mismatch\n"))
            try expect("/raft/stream/message/1", method: "POST", (405, "Method Not Allowed\n"))
            try expect("/raft/unknown", (404, "404 page not found\n"))
            let probed = try status("/raft/probing").1
            #expect(probed.hasPrefix("{\"OK\":true,\"Now\":\"20"))
            let members = try status("/members").0
            #expect(members == 200)
        }
    }

    @Test func messagesForOthersAreNotTaken() throws {
        let (one, two) = (try TestMember(1), try TestMember(2))
        defer {
            one.stop()
            two.stop()
        }
        var request = PeerRequest("POST", url: two.url + "/raft", body: Self.beat(to: 3).encoded())
        request.fields = one.transport.shared.settings.requestFields
        #expect(try one.client.request(request).wait().status == 412)
        request.body = [0xff, 0xff]
        #expect(try one.client.request(request).wait().status == 400)
        #expect(two.sink.now.messages.isEmpty)
    }

    @Test func whatTheMemberDoesNotTakeIsCounted() throws {
        let one = try TestMember(1)
        let two = try TestMember(2, sink: TestSink(takes: false))
        defer {
            one.stop()
            two.stop()
        }
        for member in [one, two] { member.transport.update(members: [one.asPeer, two.asPeer], removed: []) }
        #expect(eventually { one.isLinked(to: two) })
        one.transport.send([Self.beat(), Self.beat()])
        #expect(eventually { two.metrics.peerReceiveFailures.labelled("1").value == 2 })
    }
}
