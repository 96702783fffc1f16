import Discovery
import Host
import Testing

/// Writes DNS messages by hand, so that they can be wrong in any place.
struct MessageWriter {
    var bytes: [UInt8] = []

    init(questions: Int, answers: Int) {
        bytes = [0x12, 0x34, 0x81, 0x80]
        for count in [questions, answers, 0, 0] { number(count) }
    }

    mutating func number(_ value: Int) { bytes += [UInt8(value >> 8), UInt8(value & 0xff)] }

    mutating func labels(_ text: String) {
        for label in text.split(separator: ".") { bytes += [UInt8(label.utf8.count)] + Array(label.utf8) }
    }

    mutating func name(_ text: String) {
        labels(text)
        bytes.append(0)
    }

    mutating func pointer(_ offset: Int) { number(0xc000 | offset) }

    mutating func question(_ text: String) {
        name(text)
        number(33)
        number(1)
    }

    /// `target` writes the name, whose length is not known before.
    mutating func record(
        type: Int = 33, _ priority: Int = 0, _ weight: Int = 0, _ port: Int = 0, target: (inout MessageWriter) -> Void
    ) {
        pointer(12)
        number(type)
        number(1)
        bytes += [0, 0, 0, 60]
        var body = self
        body.bytes += [0, 0]
        let start = body.bytes.count
        if type == 33 { for each in [priority, weight, port] { body.number(each) } }
        target(&body)
        number(body.bytes.count - start)
        bytes += body.bytes[start...]
    }
}

struct ServiceAnswerTests {
    private static var plain: [UInt8] {
        var writer = MessageWriter(questions: 1, answers: 2)
        writer.question("_etcd-server._tcp.example.com")
        writer.record(1, 2, 2380) { $0.name("infra0.example.com") }
        writer.record(3, 4, 2381) {
            $0.labels("infra1")
            // The question's name from "example" on.
            $0.pointer(12 + 13 + 5)
        }
        return writer.bytes
    }

    @Test func recordsAreRead() throws {
        #expect(
            try ServiceAnswer.records(in: Self.plain) == [
                ServiceRecord(priority: 1, weight: 2, port: 2380, target: "infra0.example.com"),
                ServiceRecord(priority: 3, weight: 4, port: 2381, target: "infra1.example.com"),
            ])
    }

    @Test func otherRecordsAndImpossibleTargetsArePassedOver() throws {
        var writer = MessageWriter(questions: 1, answers: 4)
        writer.question("_x._tcp.example.com")
        writer.record(type: 5) { $0.name("alias.example.com") }
        writer.record(0, 0, 1) { $0.name("") }
        writer.record(0, 0, 2) { $0.name("no good.example.com") }
        writer.record(0, 0, 3) { $0.name("good.example.com") }
        #expect(try ServiceAnswer.records(in: writer.bytes) == [ServiceRecord(port: 3, target: "good.example.com")])
    }

    @Test func circlesEnd() {
        // A name that goes on at itself, or at what comes after it.
        for offset in [12 + 21 + 4, 12 + 21 + 4 + 2, 12 + 21 + 4 + 18] {
            var writer = MessageWriter(questions: 1, answers: 1)
            writer.question("_x._tcp.example.com")
            writer.record(0, 0, 1) { $0.pointer(offset + 18) }
            #expect(throws: MalformedAnswer.self) { try ServiceAnswer.records(in: writer.bytes) }
        }
    }

    @Test func everyCutIsRefused() {
        let whole = Self.plain
        for length in whole.indices {
            #expect(throws: MalformedAnswer.self) { try ServiceAnswer.records(in: Array(whole[..<length])) }
        }
    }

    @Test func tooLongNamesAreRefused() {
        var writer = MessageWriter(questions: 1, answers: 1)
        writer.question("_x._tcp.example.com")
        writer.record(0, 0, 1) { body in
            for _ in 0..<40 { body.labels("0123456789") }
            body.name("")
        }
        #expect(throws: MalformedAnswer.self) { try ServiceAnswer.records(in: writer.bytes) }
    }

    @Test(arguments: [UInt64(1), 2, 3]) func garbageNeverCrashes(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var read = 0
        for _ in 0..<3_000 {
            var bytes = Self.plain
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if let records = try? ServiceAnswer.records(in: bytes) {
                read += 1
                #expect(records.allSatisfy { !$0.target.isEmpty && $0.target.utf8.count <= 255 })
            }
        }
        // The bytes that matter are few: most of what was changed is still an answer.
        #expect(read > 100, "seed \(seed)")
        for _ in 0..<1_000 {
            let bytes = (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            _ = try? ServiceAnswer.records(in: bytes)
        }
    }
}
