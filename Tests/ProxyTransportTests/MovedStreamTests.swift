import Balancing
import GRPC
import HTTP2
import NIOCore
import Testing

@testable import ProxyTransport

/// Streams that go on at another member. Lease keep-alives: their messages pass as they are.
@Suite struct MovedStreamTests {
    private static let path = "/etcdserverpb.Lease/LeaseKeepAlive"

    /// An open stream, at the first of the two or at the second.
    private func openStream(_ rig: ProxyRig, _ scripts: [MemberScript]) throws -> (stream: OpenCall, at: Int) {
        let stream = try rig.open(Self.path, [1])
        try rig.waitUntil("the stream is answered") { stream.messages == 1 }
        return (stream, scripts[0].requests == 1 ? 0 : 1)
    }

    /// The first member's header fields have been passed on: the second one's status comes after them.
    @Test func aStatusWithoutMessagesOfTheNextMemberIsPassedOn() throws {
        let scripts = [MemberScript(.talk), MemberScript(.talk)]
        let rig = try ProxyRig(scripts)
        let (stream, at) = try openStream(rig, scripts)
        scripts[1 - at].become(.deny)
        // What has not been answered is asked of the next one.
        scripts[at].become(.hang)
        try rig.send([2], on: stream)
        try rig.leave(UInt32(at), .hung)
        try rig.waitUntil("the stream has ended") { stream.isOver }
        #expect(stream.status == GRPCCode.permissionDenied.rawValue)
    }

    /// A member that stops in good order need not wait for the stream's end.
    @Test func aStreamLeavesAMemberThatSaysGoAway() throws {
        let scripts = [MemberScript(.talk), MemberScript(.talk)]
        let rig = try ProxyRig(scripts)
        let (stream, at) = try openStream(rig, scripts)
        rig.drain(at)
        try rig.waitUntil("the member hears of it") { scripts[at].resets == [HTTP2ErrorCode.cancel] }
        try rig.send([2], on: stream)
        try rig.waitUntil("the other one answers") { stream.messages == 2 }
        #expect(scripts[1 - at].requests == 1)
        #expect(!stream.isOver)
    }

    @Test func aStreamStaysAtALoneMemberThatSaysGoAway() throws {
        let scripts = [MemberScript(.talk)]
        let rig = try ProxyRig(scripts)
        let (stream, _) = try openStream(rig, scripts)
        rig.drain(0)
        for number in 2...5 {
            try rig.send([2], on: stream)
            try rig.waitUntil("the member answers") { stream.messages == number }
        }
        #expect(scripts[0].requests == 1)
    }

    /// Without knowing what was said nothing can be said again: the stream ends between two messages, on which its client resumes.
    @Test(arguments: ["/v3electionpb.Election/Observe", "/unknown.Service/Method"])
    func aStreamThatCannotGoOnElsewhereEndsWithUnavailable(path: String) throws {
        let scripts = [MemberScript(.talk), MemberScript(.talk)]
        let rig = try ProxyRig(scripts)
        let stream = try rig.open(path, [1])
        try rig.waitUntil("the stream is answered") { stream.messages == 1 }
        let at = scripts[0].requests == 1 ? 0 : 1
        try rig.leave(UInt32(at), .failing)
        try rig.waitUntil("the stream has ended") { stream.isOver }
        #expect(stream.status == GRPCCode.unavailable.rawValue)
        #expect(scripts[1 - at].requests == 0)
    }

    /// A member's answer that is no watch response: what it meant cannot be followed, and the client resumes from what it has seen.
    @Test func aWatchWhoseMemberIsNotUnderstoodEndsWithUnavailable() throws {
        let rig = try ProxyRig([MemberScript(.talk)])
        let stream = try rig.open("/etcdserverpb.Watch/Watch", [0x0A, 0])
        try rig.waitUntil("the stream has ended") { stream.isOver }
        #expect(stream.status == GRPCCode.unavailable.rawValue && stream.messages == 0)
    }

    @Test(arguments: [LeaveReason.failing, .noLeader, .learner, .corrupt, .removed])
    func aStreamLeavesAnEndpointThatAnswersButIsNotFit(reason: LeaveReason) throws {
        let scripts = [MemberScript(.talk), MemberScript(.talk)]
        let rig = try ProxyRig(scripts)
        let (stream, at) = try openStream(rig, scripts)
        try rig.leave(UInt32(at), reason)
        try rig.waitUntil("the member hears of it") { scripts[at].resets == [HTTP2ErrorCode.cancel] }
        try rig.send([2], on: stream)
        try rig.waitUntil("the stream is answered again") { stream.messages == 2 }
        #expect(!stream.isOver)
    }
}
