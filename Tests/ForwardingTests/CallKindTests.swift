import Balancing
import Bytes
import EtcdAPI
import Testing

@testable import Forwarding

@Suite struct CallKindTests {
    private func inspect(_ procedure: Procedure, _ message: [UInt8]) -> CallKind {
        message.withUnsafeBytes { CallKind(procedure).inspecting($0, procedure: procedure) }
    }

    @Test func rangesAreReadsAndGoWhereTheirConsistencyAllows() {
        let linearizable = inspect(.kvRange, RangeRequest(key: [1]).encoded())
        #expect(linearizable.repeats == .always)
        #expect(linearizable.balancing == .read)
        #expect(!linearizable.isWrite)
        let serializable = inspect(.kvRange, RangeRequest(key: [1], serializable: true).encoded())
        #expect(serializable.balancing == .serializableRead)
    }

    @Test func transactionsThatOnlyReadAreReads() {
        let range = RequestOp(request: .requestRange(RangeRequest(key: [1])))
        let serializable = RequestOp(request: .requestRange(RangeRequest(key: [1], serializable: true)))
        let put = RequestOp(request: .requestPut(PutRequest(key: [1])))
        let delete = RequestOp(request: .requestDeleteRange(DeleteRangeRequest(key: [1])))
        func nested(_ operation: RequestOp) -> RequestOp {
            RequestOp(request: .requestTxn(TxnRequest(success: [range], failure: [operation])))
        }
        for (operations, isRead, balancing) in [
            ([range], true, RequestKind.read), ([serializable], true, .serializableRead), ([serializable, range], true, .read),
            ([nested(range)], true, .read), ([range, put], false, .write), ([delete], false, .write),
            ([nested(put)], false, .write),
            ([nested(nested(delete))], false, .write),
        ] {
            for transaction in [TxnRequest(success: operations), TxnRequest(success: [serializable], failure: operations)] {
                let kind = inspect(.kvTxn, transaction.encoded())
                #expect(kind.repeats == (isRead ? .always : .ifNeverProcessed))
                #expect(kind.isWrite == !isRead)
                #expect(kind.balancing == balancing)
            }
        }
    }

    /// What cannot be read is taken for a write: repeating it could do harm.
    @Test func aBrokenTransactionIsAWrite() {
        for message: [UInt8] in [[0x12, 0x7f], [0xff], [0x12, 0x02, 0x2a, 0x00], [0x12, 0x03, 0x0a, 0x05, 0x00]] {
            #expect(inspect(.kvTxn, message).repeats == .ifNeverProcessed)
            #expect(inspect(.kvTxn, message).isWrite)
        }
    }

    @Test func alarmsAreListedReadOnlyAndChangedNot() {
        #expect(!inspect(.maintenanceAlarm, AlarmRequest().encoded()).isWrite)
        #expect(inspect(.maintenanceAlarm, AlarmRequest(action: .deactivate).encoded()).isWrite)
    }

    @Test func callsThatSpeakOfOneMember() {
        let specific = Procedure.allCases.filter { CallKind($0).isMemberSpecific }
        #expect(
            Set(specific) == [
                .maintenanceAlarm, .maintenanceStatus, .maintenanceDefragment, .maintenanceHash, .maintenanceHashKV,
                .maintenanceSnapshot, .maintenanceMoveLeader,
            ])
        #expect(specific.allSatisfy { CallKind($0).repeats == .ifNeverProcessed })
    }

    /// The list in full: a procedure that may change something must never be repeated on a mere suspicion.
    @Test func whatIsRepeated() {
        let repeated = Procedure.allCases.filter { CallKind($0).repeats == .always }
        #expect(
            Set(repeated) == [
                .kvRange, .kvRangeStream, .watch, .leaseKeepAlive, .leaseTimeToLive, .leaseLeases, .clusterMemberList,
                .authStatus,
                .authUserGet, .authUserList, .authRoleGet, .authRoleList, .electionLeader, .healthCheck, .healthList,
            ])
    }

    @Test(arguments: [
        ("GET", "/version", "", true, false, false), ("POST", "/v3/kv/range", "", true, false, false),
        ("POST", "/v3beta/kv/range", "", true, false, false), ("POST", "/v3/kv/put", "", false, true, false),
        ("POST", "/v3/watch", "", false, false, true), ("GET", "/v2/keys/a", "", true, false, false),
        ("GET", "/v2/keys/a", "wait=true", false, false, true),
        ("GET", "/v2/keys/a", "recursive=true&wait=true", false, false, true),
        ("PUT", "/v2/keys/a", "", false, true, false), ("POST", "/v3/maintenance/status", "", false, false, false),
        ("POST", "/v3/maintenance/defragment", "", false, true, false), ("DELETE", "/v2/keys/a", "", false, true, false),
    ])
    func plainRequests(method: String, path: String, query: String, repeats: Bool, isWrite: Bool, streams: Bool) {
        let kind = PlainRequestKind(method: method, path: path, query: query)
        #expect(kind.repeats == (repeats ? .always : .ifNeverProcessed))
        #expect(kind.isWrite == isWrite)
        #expect(kind.streams == streams)
    }
}
