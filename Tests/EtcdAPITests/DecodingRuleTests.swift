import Bytes
import Testing

@testable import EtcdAPI

@Suite struct DecodingRuleTests {
    @Test func unknownFieldsAreSkipped() throws {
        // Of every wire type, before and behind the known ones.
        let unknown = "d00f05" + "d10f0102030405060708" + "d20f02abcd" + "d50f01020304"
        let request = try PutRequest(decoding: unhex("x" + unknown + "0a016b" + unknown + "120176" + unknown))
        #expect(request == PutRequest(key: [0x6b], value: [0x76]))
    }

    @Test func theLastOfSeveralCounts() throws {
        #expect(try PutRequest(decoding: unhex("x0a01610a01621801" + "1802")) == PutRequest(key: [0x62], lease: 2))
        let compare = try Compare(decoding: unhex("x2005" + "3a0161"))
        #expect(compare.targetUnion == .value([0x61]))
        let operation = try RequestOp(decoding: unhex("x0a030a0161" + "12030a0162"))
        #expect(operation.request == .requestPut(PutRequest(key: [0x62])))
        let header = try PutResponse(decoding: unhex("x0a020801" + "0a021002"))
        #expect(header.header == ResponseHeader(memberId: 2))
    }

    @Test func filtersMayBePackedOrNot() throws {
        let packed = try WatchCreateRequest(decoding: unhex("x2a020001"))
        let single = try WatchCreateRequest(decoding: unhex("x28002801"))
        #expect(packed.filters == [.noput, .nodelete])
        #expect(single == packed)
        #expect(packed.encoded() == unhex("x2a020001"))
    }

    @Test func numbersWithoutNameAreKept() throws {
        let request = try RangeRequest(decoding: unhex("x2863"))
        #expect(request.sortOrder == .unrecognized(99))
        #expect(request.encoded() == unhex("x2863"))
    }

    @Test(arguments: [
        ("x0a05", DecodeError.truncated), ("x0a", .truncated), ("x0801", .wrongWireType(field: 1)),
        ("x1a0161", .wrongWireType(field: 3)), ("x0b", .groupsNotSupported), ("x18ffffffffffffffffff02", .malformedVarint),
        ("x02", .invalid("field number 0")),
    ])
    func malformedBytesAreRefused(_ text: String, _ expected: DecodeError) {
        #expect(throws: expected) { try PutRequest(decoding: unhex(text)) }
    }

    @Test func textMustBeUTF8() {
        #expect(throws: DecodeError.invalid("field 1 is not UTF-8")) {
            try AuthUserGetRequest(decoding: unhex("x0a02c328"))
        }
    }

    @Test func presenceOfAnEmptyMessageIsKept() throws {
        let request = InternalRaftRequest(request: .authEnable(AuthEnableRequest()))
        #expect(request.encoded() == unhex("xc23e00"))
        let decoded = try InternalRaftRequest(decoding: unhex("xc23e00"))
        #expect(decoded.authEnable != nil)
        #expect(decoded.header == nil)
        #expect(decoded.put == nil)
    }

    @Test func entriesSayWhatTheyDoNotKnow() throws {
        // Field 77, and a header.
        let request = try InternalRaftRequest(decoding: unhex("xea0401aa" + "a206020807"))
        #expect(request.unknownField == 77)
        #expect(request.request == nil)
        #expect(request.header == RequestHeader(id: 7))
    }

    @Test func entriesWithTwoRequestsAreRefused() throws {
        #expect(throws: DecodeError.invalid("requests 4 and 5 in one entry")) {
            try InternalRaftRequest(decoding: unhex("x22030a0161" + "2a030a0161"))
        }
    }

    @Test func settingARequestReplacesTheOther() {
        var request = InternalRaftRequest()
        request.put = PutRequest(key: [1])
        request.compaction = CompactionRequest(revision: 3)
        #expect(request.put == nil)
        #expect(request.request == .compaction(CompactionRequest(revision: 3)))
        request.put = nil
        #expect(request.compaction != nil)
        request.compaction = nil
        #expect(request.request == nil)
    }

    @Test func authenticationRequestsAreRecognised() {
        #expect(InternalRaftRequest(request: .authRoleAdd(AuthRoleAddRequest())).isAboutAuthentication)
        #expect(InternalRaftRequest(request: .authDisable(AuthDisableRequest())).isAboutAuthentication)
        #expect(InternalRaftRequest(request: .authEnable(AuthEnableRequest())).isAboutAuthentication)
        #expect(InternalRaftRequest(request: .authStatus(AuthStatusRequest())).isAboutAuthentication)
        #expect(!InternalRaftRequest(request: .clusterVersionSet(ClusterVersionSetRequest())).isAboutAuthentication)
        #expect(!InternalRaftRequest().isAboutAuthentication)
    }

    /// etcd 3.5 publishes its attributes as a bare v2 request (ID 1, Method 2, Path 3, Val 4, Dir 5, ...), whose fields are of
    /// other types: it must not pass for a v3 request.
    @Test func bareV2RequestsDoNotPassForEntries() {
        let put =
            "0807" + "1203505554" + "1a0a2f302f76657273696f6e" + "2205332e352e30" + "2800" + "3200" + "3800" + "4800" + "5000"
        #expect(throws: DecodeError.self) { try InternalRaftRequest(decoding: unhex("x" + put)) }
        let sync = "0807" + "120453594e43" + "1a00" + "2200" + "2800" + "3200" + "3800" + "4800" + "5000"
        #expect(throws: DecodeError.self) { try InternalRaftRequest(decoding: unhex("x" + sync)) }
    }
}

@Suite struct NestingTests {
    static func nested(_ depth: Int) -> TxnRequest {
        var request = TxnRequest(success: [RequestOp(request: .requestPut(PutRequest(key: [1])))])
        for _ in 0..<depth { request = TxnRequest(success: [RequestOp(request: .requestTxn(request))]) }
        return request
    }

    @Test func transactionsNestToTheLimit() throws {
        let bytes = NestingTests.nested(largestTransactionDepth).encoded()
        let request = try TxnRequest(decoding: bytes)
        #expect(request.encoded() == bytes)
        #expect(throws: DecodeError.invalid("transactions nested deeper than 250")) {
            try TxnRequest(decoding: NestingTests.nested(largestTransactionDepth + 1).encoded())
        }
    }

    @Test func responsesNestToTheLimit() throws {
        var response = TxnResponse(succeeded: true)
        for _ in 0..<largestTransactionDepth {
            response = TxnResponse(responses: [ResponseOp(response: .responseTxn(response))])
        }
        #expect(try TxnResponse(decoding: response.encoded()) == response)
        response = TxnResponse(responses: [ResponseOp(response: .responseTxn(response))])
        #expect(throws: DecodeError.self) { try TxnResponse(decoding: response.encoded()) }
    }
}
