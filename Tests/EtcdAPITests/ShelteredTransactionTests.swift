import Testing

@testable import EtcdAPI

private func range(_ key: String, at revision: Int64 = 0) -> RequestOp {
    RequestOp(request: .requestRange(RangeRequest(key: Array(key.utf8), revision: revision)))
}
private func found(_ count: Int64) -> ResponseOp { ResponseOp(response: .responseRange(RangeResponse(count: count))) }
private let put = RequestOp(request: .requestPut(PutRequest(key: [1])))
private let written = ResponseOp(response: .responsePut(PutResponse()))

@Suite struct ShelteredTransactionTests {
    @Test func onlyRangesAtTheTopThatNameARevisionAreWrapped() throws {
        let deep = RequestOp(request: .requestTxn(TxnRequest(success: [range("a", at: 3)])))
        #expect(ShelteredTransaction(TxnRequest(success: [put, range("a"), deep], failure: [range("b")])) == nil)
        let sheltered = try #require(
            ShelteredTransaction(TxnRequest(success: [put, range("a", at: 3), range("b")], failure: [range("c", at: -1)])))
        #expect(sheltered.request.success == [put, deep, range("b")])
        #expect(sheltered.request.failure == [RequestOp(request: .requestTxn(TxnRequest(success: [range("c", at: -1)])))])
    }

    @Test(arguments: [true, false])
    func answersAreTakenOutAgain(succeeded: Bool) throws {
        let sheltered = try #require(
            ShelteredTransaction(TxnRequest(success: [put, range("a", at: 3)], failure: [range("b", at: 4), put])))
        let inner = ResponseOp(response: .responseTxn(TxnResponse(succeeded: true, responses: [found(7)])))
        let answer = TxnResponse(succeeded: succeeded, responses: succeeded ? [written, inner] : [inner, written])
        #expect(sheltered.answer(answer).responses == (succeeded ? [written, found(7)] : [found(7), written]))
    }
}
