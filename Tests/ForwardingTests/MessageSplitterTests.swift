import Bytes
import Host
import Testing

@testable import Forwarding

@Suite struct MessageSplitterTests {
    private func framed(_ message: [UInt8], flag: UInt8 = 0) -> [UInt8] {
        [flag] + withUnsafeBytes(of: UInt32(message.count).bigEndian) { Array($0) } + message
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 50, 10_000])
    func messagesComeOutWholeHoweverTheyAreCut(piece: Int) throws {
        let messages = [0, 1, 5, 300, 0, 17].map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: $0) }
        let bytes = messages.flatMap { framed($0) }
        var splitter = MessageSplitter(limit: 1_000)
        var boundary = MessageBoundary()
        var out: [[UInt8]] = []
        for start in stride(from: 0, to: bytes.count, by: piece) {
            let part = Array(bytes[start..<min(start + piece, bytes.count)])
            try part.withUnsafeBytes { try splitter.take($0) { out.append(Array($0)) } }
            part.withUnsafeBytes { boundary.pass($0) }
            #expect(boundary.isBetweenMessages == (splitter.keptBytes == 0))
        }
        #expect(out == messages.map { framed($0) })
        #expect(splitter.keptBytes == 0)
    }

    @Test func whatIsTooLongOrFlaggedIsHandedOutAsItCame() {
        for (bad, problem) in [
            (framed([UInt8](repeating: 1, count: 20)), MessageSplitter.Problem.tooLong), (framed([1, 2], flag: 1), .flagged),
        ] {
            for cut in [1, 7, 9, 12] {
                let bytes = framed([9, 9]) + bad
                var splitter = MessageSplitter(limit: 10)
                var out: [UInt8] = []
                var fed: [UInt8] = []
                var seen: MessageSplitter.Problem?
                for part in [Array(bytes[..<cut]), Array(bytes[cut...])] where seen == nil {
                    fed += part
                    do throws(MessageSplitter.Problem) {
                        try part.withBytes { (raw) throws(MessageSplitter.Problem) in try splitter.take(raw) { out += Array($0) }
                        }
                    } catch {
                        seen = error
                    }
                }
                #expect(seen == problem)
                #expect(out == framed([9, 9]))
                splitter.takeKept { out += Array($0) }
                #expect(out == fed)
            }
        }
    }

    @Test func keepAlivesAreAskedAgainInOrder() throws {
        var relay = KeepAliveRelay()
        for id in UInt8(0)..<5 { try framed([id]).withUnsafeBytes { try relay.asked($0) } }
        relay.answered()
        relay.answered()
        var writer = ByteWriter()
        relay.resume(toMember: &writer)
        #expect(writer.array() == [2, 3, 4].flatMap { framed([$0]) })
        for _ in 0..<10 { relay.answered() }
        #expect(relay.unansweredCount == 0)
    }

    @Test func tooManyUnansweredKeepAlivesAreRefused() throws {
        var relay = KeepAliveRelay()
        for round in 0..<3 {
            for _ in 0..<KeepAliveRelay.maximumUnanswered { try framed([1]).withUnsafeBytes { try relay.asked($0) } }
            #expect(throws: KeepAliveRelay.Problem.tooManyUnanswered) { try framed([1]).withUnsafeBytes { try relay.asked($0) } }
            for _ in 0..<KeepAliveRelay.maximumUnanswered { relay.answered() }
            #expect(relay.unansweredCount == 0, "round \(round)")
        }
    }
}
