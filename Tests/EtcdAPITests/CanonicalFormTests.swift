import Bytes
import Testing

@testable import EtcdAPI

@Suite struct CanonicalFormTests {
    @Test(arguments: [
        ("x", true), ("x0a0161", true), ("x0a01611801", true), ("x18010a0161", false), ("x0a01610a0162", false),
        ("x0a01613801", false), ("x0a0161d00f01", false), ("x0a05", false), ("x0801", false),
    ])
    func puts(_ text: String, _ expected: Bool) {
        #expect(unhex(text).withUnsafeBytes { CanonicalForm.holds($0, as: .put) } == expected)
    }

    @Test(arguments: [
        // Two operations of one branch; one branch after the other; branches out of order.
        ("x120512030a0161" + "120512030a0162", true),
        ("x120512030a0161" + "1a0512030a0161", true), ("x1a0512030a0161" + "120512030a0161", false),
        // One compare with two operands, one with its range end, one with an unknown field.
        ("x0a0420013802", false), ("x0a072001820402" + "6162", true), ("x0a022001", true), ("x0a0420014801", false),
        // An operation that is two things at once; a put inside with a field twice.
        ("x120a0a030a016112030a0161", false), ("x120812060a01610a0162", false),
    ])
    func transactions(_ text: String, _ expected: Bool) {
        #expect(unhex(text).withUnsafeBytes { CanonicalForm.holds($0, as: .txn) } == expected)
    }

    @Test func depthIsBounded() {
        let deepest = NestingTests.nested(largestTransactionDepth).encoded()
        let tooDeep = NestingTests.nested(largestTransactionDepth + 1).encoded()
        #expect(deepest.withUnsafeBytes { CanonicalForm.holds($0, as: .txn) })
        #expect(!tooDeep.withUnsafeBytes { CanonicalForm.holds($0, as: .txn) })
    }
}

@Suite struct WrappingTests {
    private let put = PutRequest(key: Array("key".utf8), value: [UInt8](repeating: 7, count: 300), lease: -1)

    @Test func wrappedBytesAreTheEncodedEntry() {
        for id in [0, 1, 127, 128, 0x1234_5678_9abc_def0, .max] as [UInt64] {
            let wrapped = put.encoded().withUnsafeBytes { InternalRaftRequest.wrap($0, as: .put, id: id) }
            #expect(wrapped == InternalRaftRequest(header: RequestHeader(id: id), request: .put(put)).encoded(), "id \(id)")
        }
    }

    @Test func theHeaderMayNameAUser() {
        for name in ["", "root", "schlüssel", String(repeating: "n", count: 200)] {
            let header = RequestHeader(id: 77, username: name, authRevision: 300)
            var writer = ByteWriter()
            writer.append([1, 2, 3])
            put.encoded().withUnsafeBytes { InternalRaftRequest.wrap($0, as: .put, header: header, into: &writer) }
            let expected = [1, 2, 3] + InternalRaftRequest(header: header, request: .put(put)).encoded()
            #expect(writer.array() == expected, "\(name)")
        }
    }

    @Test func everyPayloadGoesToItsField() throws {
        let requests: [(InternalRaftRequest.Payload, InternalRaftRequest.Request, [UInt8])] = [
            (.put, .put(put), put.encoded()),
            (.deleteRange, .deleteRange(DeleteRangeRequest(key: [1])), DeleteRangeRequest(key: [1]).encoded()),
            (.txn, .txn(NestingTests.nested(2)), NestingTests.nested(2).encoded()),
            (.compaction, .compaction(CompactionRequest(revision: 5)), CompactionRequest(revision: 5).encoded()),
            (.leaseGrant, .leaseGrant(LeaseGrantRequest(ttl: 5, id: 6)), LeaseGrantRequest(ttl: 5, id: 6).encoded()),
            (.leaseRevoke, .leaseRevoke(LeaseRevokeRequest(id: 6)), LeaseRevokeRequest(id: 6).encoded()),
            (.alarm, .alarm(AlarmRequest()), []),
        ]
        for (payload, request, bytes) in requests {
            let wrapped = bytes.withUnsafeBytes { InternalRaftRequest.wrap($0, as: payload, id: 9) }
            #expect(try InternalRaftRequest(decoding: wrapped).request == request)
        }
    }
}
