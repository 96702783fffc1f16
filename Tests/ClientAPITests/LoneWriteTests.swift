import EtcdAPI
import HTTP2
import Member
import NIOEmbedded
import Testing

@testable import ClientAPI

@Suite struct LoneWriteTests {
    private let port: ScriptedMember
    private let link: LoopMember
    private let eventLoop = EmbeddedEventLoop()
    private let occupancy = LoopOccupancy(loopCount: 2)
    private let write = MemberCommand.propose(payload: [1], id: 1, afterCompaction: false)
    private var answered: UInt64 = 0

    init() throws {
        port = try ScriptedMember()
        link = LoopMember(index: 0, port: port, eventLoop: eventLoop, salt: 1, occupancy: occupancy)
        #expect(occupancy.enter() == 0)
    }

    private func writeOnce() {
        link.submit(write, isShortWrite: true) { _ in }
        link.endBurst()
    }

    private mutating func answerAll() {
        eventLoop.run()
        let requests = port.requests
        link.deliver(requests[Int(answered)...].map { ($0.reply.request, .done) })
        answered = UInt64(requests.count)
        link.endBurst()
    }

    private mutating func write(times: Int) {
        for _ in 0..<times {
            writeOnce()
            answerAll()
        }
    }

    @Test mutating func aClientThatWritesAloneMayHaveTheLoop() {
        write(times: LoneWrites.needed - 1)
        #expect(port.turnsOffered == 0)
        write(times: 5)
        #expect(port.turnsOffered == 5 && port.requests.count == LoneWrites.needed + 4)
    }

    @Test mutating func whereOthersHaveConnectionsNobodyHasTheLoop() {
        write(times: LoneWrites.needed)
        #expect(port.turnsOffered == 1)
        #expect([occupancy.enter(), occupancy.enter()] == [1, 0])
        write(times: 5)
        #expect(port.turnsOffered == 1)
        occupancy.leave(0)
        write(times: 5)
        #expect(port.turnsOffered == 6)
        // It was secluded for each turn only.
        #expect([occupancy.enter(), occupancy.enter()].contains(0))
    }

    @Test mutating func aReadAmongThemEndsIt() throws {
        write(times: LoneWrites.needed)
        let before = port.turnsOffered
        _ = try link.withReader { _, _ in }
        link.endBurst()
        write(times: 1)
        #expect(port.turnsOffered == before)
    }

    @Test mutating func longWritesNeverHaveTheLoop() {
        for _ in 0..<100 {
            link.submit(write) { _ in }
            link.endBurst()
            answerAll()
        }
        #expect(port.turnsOffered == 0 && port.requests.count == 100)
    }
}
