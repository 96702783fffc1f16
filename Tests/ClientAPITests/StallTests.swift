import EtcdAPI
import Member
import NIOEmbedded
import Testing

@testable import ClientAPI

@Suite struct StallTests {
    private let port: ScriptedMember
    private let link: LoopMember
    private let proposal = MemberCommand.propose(payload: [1], id: 1, afterCompaction: false)

    init() throws {
        port = try ScriptedMember()
        link = LoopMember(index: 0, port: port, eventLoop: EmbeddedEventLoop(), salt: 1)
    }

    @Test func aStalledMemberGetsNoMoreRequests() {
        var answers: [EtcdError?] = []
        port.stall = .milliseconds(1001)
        for command in [proposal, .readIndex, .renewLease(1)] { link.submit(command) { answers.append($0.refusal) } }
        #expect(answers.isEmpty, "answered in the middle of a burst")
        link.endBurst()
        #expect(answers == [.noLeader, .noLeader, .noLeader] && port.requests.isEmpty)
        port.stall = nil
        link.submit(proposal) { answers.append($0.refusal) }
        link.endBurst()
        #expect(answers.count == 3 && port.requests.count == 1)
    }

    @Test func whatItHasTakenIsAnsweredInTime() {
        var answers: [String] = []
        link.submit(proposal) { answers.append("write \($0.refusal.map { "\($0)" } ?? "done")") }
        link.submit(.readIndex) { answers.append("read \($0.refusal.map { "\($0)" } ?? "done")") }
        link.endBurst()
        link.lookForStall(requestTimeout: .seconds(7))
        #expect(answers.isEmpty)
        port.stall = .milliseconds(1001)
        link.lookForStall(requestTimeout: .seconds(7))
        #expect(answers == ["read noLeader"])
        port.stall = .milliseconds(7001)
        link.lookForStall(requestTimeout: .seconds(7))
        #expect(answers == ["read noLeader", "write timeout"])
        // The disk has answered after all: the client has gone.
        link.deliver(port.requests.map { ($0.reply.request, .done) })
        #expect(answers.count == 2)
    }
}
