import Bytes
import Host
import Testing

@testable import EtcdAPI

/// Decoders and walkers take any bytes: they give a value or an error, and a value's encoding gives that value again.
@Suite struct FuzzTests {
    private func decode(_ name: String, _ bytes: [UInt8], _ seed: UInt64) throws {
        let type = try #require(messageTypes[name])
        guard let message = try? type.init(decoding: bytes) else { return }
        let encoded = message.encoded()
        let again = try type.init(decoding: encoded)
        #expect(again.encoded() == encoded, "\(name) \(hex(bytes)), seed \(seed)")
        #expect(describe(again) == describe(message), "\(name) \(hex(bytes)), seed \(seed)")
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func damagedMessages(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for row in fixture("messages.txt") {
            var bytes = unhex(row[1])
            guard !bytes.isEmpty else { continue }
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
                case 1:
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8(1) << UInt8.random(in: 0..<8, using: &random)
                case 2: bytes.insert(.random(in: 0...255, using: &random), at: Int.random(in: 0...bytes.count, using: &random))
                default: bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
                }
            }
            try decode(row[0], bytes, seed)
        }
    }

    @Test(arguments: [4, 5] as [UInt64])
    func randomBytes(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for name in messageTypes.keys.sorted() {
            for _ in 0..<20 {
                // Small numbers look like tags and lengths more often than chance would have it.
                let bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
                    Bool.random(using: &random) ? UInt8.random(in: 0...255, using: &random) : .random(in: 0...40, using: &random)
                }
                try decode(name, bytes, seed)
            }
        }
    }

    @Test(arguments: [6, 7, 8] as [UInt64])
    func borrowedPutsAgreeWithDecodedOnes(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var readable = 0
        for _ in 0..<5000 {
            let fields = (0..<Int.random(in: 0..<6, using: &random)).map { _ in
                [["0a", "0161"], ["12", "02abcd"], ["18", "05"], ["20", "01"], ["28", "01"], ["30", "01"], ["38", "01"]]
                    .randomElement(using: &random)!
            }
            var bytes = unhex("x" + fields.map { $0.joined() }.joined())
            if Int.random(in: 0..<4, using: &random) == 0, !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...64, using: &random)
            }
            bytes.withUnsafeBytes { raw in
                guard let put = try? PutRequest(decoding: raw) else {
                    #expect((try? BorrowedPutRequest(raw)) == nil, "\(hex(bytes)), seed \(seed)")
                    #expect(!CanonicalForm.holds(raw, as: .put), "\(hex(bytes)), seed \(seed)")
                    return
                }
                guard let borrowed = try? BorrowedPutRequest(raw) else {
                    Issue.record("\(hex(bytes)) is refused, seed \(seed)")
                    return
                }
                readable += 1
                let copy = PutRequest(
                    key: Array(borrowed.key), value: Array(borrowed.value), lease: borrowed.lease, prevKv: borrowed.prevKv,
                    ignoreValue: borrowed.ignoreValue, ignoreLease: borrowed.ignoreLease)
                #expect(copy == put, "\(hex(bytes)), seed \(seed)")
                #expect(borrowed.isCanonical == CanonicalForm.holds(raw, as: .put), "\(hex(bytes)), seed \(seed)")
            }
        }
        #expect(readable > 2000)
    }

    @Test(arguments: [9, 10, 11] as [UInt64])
    func whatIsCanonicalIsReadable(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let kinds: [(String, CanonicalForm.Message)] = [
            ("etcdserverpb.PutRequest", .put), ("etcdserverpb.DeleteRangeRequest", .deleteRange),
            ("etcdserverpb.TxnRequest", .txn),
        ]
        for row in fixture("messages.txt") {
            guard let (name, kind) = kinds.first(where: { $0.0 == row[0] }) else { continue }
            let original = unhex(row[1])
            #expect(original.withUnsafeBytes { CanonicalForm.holds($0, as: kind) }, "\(row)")
            for _ in 0..<300 where !original.isEmpty {
                var bytes = original
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
                guard bytes.withUnsafeBytes({ CanonicalForm.holds($0, as: kind) }) else { continue }
                #expect((try? messageTypes[name]!.init(decoding: bytes)) != nil, "\(name) \(hex(bytes)), seed \(seed)")
            }
        }
    }
}
