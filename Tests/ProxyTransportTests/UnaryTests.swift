import Balancing
import EtcdAPI
import GRPC
import HTTP2
import NIOCore
import Testing

@testable import ProxyTransport

@Suite struct UnaryTests {
    private static let range = "/etcdserverpb.KV/Range"
    private static let put = "/etcdserverpb.KV/Put"
    private static let calls = 6

    @Test func callsAreSpreadAndAnswered() throws {
        let scripts = [MemberScript(.answer), MemberScript(.answer)]
        let rig = try ProxyRig(scripts)
        for _ in 0..<Self.calls {
            guard case .message(let message) = try rig.call(Self.put, [1, 2]) else {
                Issue.record("no answer")
                return
            }
            #expect(message == [0] || message == [1])
        }
        #expect(scripts.map(\.requests).reduce(0, +) == Self.calls)
    }

    /// A read is answered whatever the other member does; a transaction that only reads is one.
    @Test(arguments: [Behaviour.refuse, .reset, .halfReply, .unavailable], [false, true])
    func readsSurviveAMember(that behaves: Behaviour, isTransaction: Bool) throws {
        let bad = MemberScript(behaves)
        let rig = try ProxyRig([bad, MemberScript(.answer)])
        let get = RangeRequest(key: [1])
        let transaction = TxnRequest(success: [RequestOp(request: .requestRange(get))])
        for _ in 0..<Self.calls {
            let reply =
                isTransaction
                ? try rig.call("/etcdserverpb.KV/Txn", transaction.encoded()) : try rig.call(Self.range, get.encoded())
            #expect(reply == .message([1]))
        }
        #expect(bad.requests > 0)
    }

    /// What speaks of one member is that member's alone, though most of it only reads: another's answer would be about something else.
    @Test(arguments: [
        "Status", "Hash", "HashKV", "MoveLeader", "Defragment", "Alarm", "Snapshot",
    ])
    func whatSpeaksOfOneMemberIsNotAskedOfAnother(name: String) throws {
        for behaves in [Behaviour.reset, .halfReply, .unavailable] {
            let bad = MemberScript(behaves)
            let good = MemberScript(.answer)
            let rig = try ProxyRig([bad, good])
            var answered = 0
            for _ in 0..<Self.calls {
                if case .message = try rig.call("/etcdserverpb.Maintenance/" + name) { answered += 1 }
            }
            #expect(bad.requests == Self.calls / 2 && good.requests == Self.calls / 2, "\(behaves)")
            #expect(answered == good.requests, "\(behaves)")
        }
    }

    /// Only from a member that will not answer any more: one that fails others' requests may still answer this one.
    @Test(arguments: [(LeaveReason.failing, false), (.noLeader, false), (.hung, true), (.unreachable, true)])
    func whatSpeaksOfOneMemberWaitsForItsAnswer(reason: LeaveReason, isEnded: Bool) throws {
        let script = MemberScript(.hang)
        let rig = try ProxyRig([script])
        let reply = rig.start("/etcdserverpb.Maintenance/Defragment", [], timeout: isEnded ? .seconds(30) : .milliseconds(1_500))
        try rig.waitUntil("the member has it") { script.requests == 1 }
        try rig.leave(0, reason)
        switch try reply.wait() {
        case .status(let status): #expect(isEnded && status.code == .unavailable, "\(status)")
        case .failed(.timedOut, _): #expect(!isEnded)
        case let other: Issue.record("\(other)")
        }
        #expect(script.requests == 1)
    }

    /// What may have been done is never done again.
    @Test(arguments: [Behaviour.reset, .halfReply])
    func writesInDoubtAreAnsweredAndNotRepeated(behaves: Behaviour) throws {
        let bad = MemberScript(behaves)
        let good = MemberScript(.answer)
        let rig = try ProxyRig([bad, good])
        var answered = 0
        for _ in 0..<Self.calls {
            switch try rig.call(Self.put, [1]) {
            case .message: answered += 1
            case .status(let status): #expect(status.code == .unavailable && status.message.contains("may or may not"))
            case .failed(let failure, let text): Issue.record("\(failure): \(text)")
            }
        }
        #expect(bad.requests > 0)
        #expect(good.requests == answered)
        #expect(bad.requests + good.requests == Self.calls)
    }

    @Test func aMembersRefusalOfAWriteIsPassedOn() throws {
        let rig = try ProxyRig([MemberScript(.unavailable)])
        let reply = try rig.call(Self.put, [1])
        #expect(reply == .status(GRPCStatus(.unavailable, "etcdserver: no leader")))
    }

    @Test func whatNeverReachedAMemberGoesToAnother() throws {
        let good = MemberScript(.answer)
        let rig = try ProxyRig([MemberScript(.refuse), nil, good])
        for _ in 0..<Self.calls {
            let reply = try rig.call(Self.put, [1])
            #expect(reply == .message([2]))
        }
        #expect(good.requests == Self.calls)
    }

    @Test func withoutAnyMemberClientsLearnThatNothingWasSent() throws {
        let rig = try ProxyRig([nil])
        let reply = try rig.call(Self.put, [1], timeout: .milliseconds(300))
        let isRight =
            switch reply {
            case .status(let status): status == GRPCStatus(.unavailable, ForwardedCall.noConnection)
            case .failed(.timedOut, _): true
            default: false
            }
        #expect(isRight, "\(reply)")
    }

    /// Half of a reply that is too long to be held has been passed on: only a reset can tell that it is not whole.
    @Test func aLongReplyThatBreaksOffIsBrokenOff() throws {
        let rig = try ProxyRig([MemberScript(.longHalfReply)])
        guard case .failed(.connectionLost, _) = try rig.call(Self.range, RangeRequest(key: [1]).encoded()) else {
            Issue.record("the reply should break off")
            return
        }
    }

    @Test func aReadAtAHungMemberMovesWhenTheMemberIsLeft() throws {
        let hung = MemberScript(.hang)
        let rig = try ProxyRig([hung, MemberScript(.answer)])
        let replies = (0..<2).map { _ in
            rig.loop.flatSubmit { [loop = rig.loop, target = rig.target] in
                GRPCUnaryClient(output: LoopOutput(eventLoop: loop)).call(target, Self.range, [], timeout: .seconds(5))
            }
        }
        try rig.waitUntil("a read hangs") { hung.requests > 0 }
        try rig.leave(0, .hung)
        for reply in replies {
            let reply = try reply.wait()
            #expect(reply == .message([1]))
        }
    }

    @Test func aWriteAtAHungMemberIsInDoubtWhenTheMemberIsLeft() throws {
        let hung = MemberScript(.hang)
        let rig = try ProxyRig([hung])
        let reply = rig.loop.flatSubmit { [loop = rig.loop, target = rig.target] in
            GRPCUnaryClient(output: LoopOutput(eventLoop: loop)).call(target, Self.put, [1], timeout: .seconds(5))
        }
        try rig.waitUntil("a write hangs") { hung.requests > 0 }
        try rig.leave(0, .hung)
        guard case .status(let status) = try reply.wait() else {
            Issue.record("the write should be answered")
            return
        }
        #expect(status.code == .unavailable)
        #expect(hung.requests == 1)
    }

    @Test func theClientsDeadlineAndMetadataReachTheMember() throws {
        let script = MemberScript(.answer)
        let rig = try ProxyRig([script])
        _ = try rig.call(
            Self.range, metadata: [HTTPField("token", "abc.7"), HTTPField("hasleader", "true")], timeout: .seconds(3))
        #expect(script.fields["grpc-timeout"] == "3000m")
        #expect(script.fields["token"] == "abc.7")
        #expect(script.fields["hasleader"] == "true")
        #expect(script.fields[":path"] == Self.range)
        #expect(script.fields[":authority"]?.hasPrefix("127.0.0.1:") == true)
    }

    /// What has passed since is taken from it: the member's own work ends when its client gives up.
    @Test func aSecondMemberIsToldWhatIsLeftOfTheTime() throws {
        let script = MemberScript(.answer)
        let rig = try ProxyRig([MemberScript(.refuse), script])
        // Both are chosen in turn.
        var told: [UInt64] = []
        for _ in 0..<2 {
            _ = try rig.call(Self.range, timeout: .seconds(60))
            let text = Array((script.fields["grpc-timeout"] ?? "").utf8)
            told.append(try text.withUnsafeBytes { try GRPCTimeout.nanoseconds($0) })
        }
        told.sort()
        #expect(told[1] == 60_000_000_000)
        #expect(told[0] < told[1] && told[0] > 30_000_000_000)
    }

    @Test func aClientThatGoesCancelsAtTheMember() throws {
        let hung = MemberScript(.hang)
        let rig = try ProxyRig([hung])
        let reply = try rig.call(Self.range, timeout: .milliseconds(100))
        guard case .failed(.timedOut, _) = reply else {
            Issue.record("\(reply)")
            return
        }
        try rig.waitUntil("the member hears of it") { hung.resets == [HTTP2ErrorCode.cancel] }
    }

    @Test func aLongRequestStreamsAndWaitsForTheMember() throws {
        let script = MemberScript(.answer, takesBodies: false)
        let rig = try ProxyRig([script]) { $0.heldRequestBytes = 50_000 }
        let reply = rig.loop.flatSubmit { [loop = rig.loop, target = rig.target] in
            GRPCUnaryClient(output: LoopOutput(eventLoop: loop)).call(
                target, Self.put, [UInt8](repeating: 1, count: 8 << 20), timeout: .seconds(2))
        }
        // The member takes up nothing: no more than its window and the proxy's own buffers may leave the client.
        _ = try reply.wait()
        #expect(script.bytes > 50_000)
        #expect(script.bytes <= 1 << 20)
    }

    @Test func readOnlyRefusesWritesAndLetsReadsThrough() throws {
        let script = MemberScript(.answer)
        let rig = try ProxyRig([script], isReadOnly: true)
        let compare = TxnRequest(success: [RequestOp(request: .requestRange(RangeRequest(key: [1])))])
        let reads = [
            (Self.range, RangeRequest(key: [1]).encoded()), ("/etcdserverpb.KV/Txn", compare.encoded()),
            ("/etcdserverpb.Maintenance/Alarm", AlarmRequest().encoded()), ("/etcdserverpb.Maintenance/Status", []),
        ]
        for (path, message) in reads {
            let reply = try rig.call(path, message)
            #expect(reply == .message([0]), "\(path)")
        }
        #expect(script.requests == reads.count)
        let write = TxnRequest(success: [RequestOp(request: .requestPut(PutRequest(key: [1])))])
        let writes = [
            (Self.put, [UInt8]([1])), ("/etcdserverpb.KV/Txn", write.encoded()),
            ("/etcdserverpb.Lease/LeaseGrant", []), ("/etcdserverpb.Lease/LeaseKeepAlive", []), ("/some.Service/Unknown", []),
        ]
        for (path, message) in writes {
            let reply = try rig.call(path, message)
            #expect(reply == .status(GRPCStatus(.permissionDenied, "quorate proxy: this proxy is read-only")), "\(path)")
        }
        #expect(script.requests == reads.count)
    }
}
