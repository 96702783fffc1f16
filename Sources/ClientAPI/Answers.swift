import EtcdAPI
import GRPC
import MVCC
import Member
import StateMachine

extension GRPCStatus {
    init(_ error: EtcdError) {
        self.init(GRPCCode(rawValue: error.code.rawValue) ?? .unknown, error.message)
    }

    /// With the code that a release of this minor version sends.
    init(_ error: EtcdError, behavesAsMinor: Int) {
        let code = behavesAsMinor < 6 ? error.codeBefore36 : error.code
        self.init(GRPCCode(rawValue: code.rawValue) ?? .unknown, error.message)
    }
}

extension GRPCStream {
    func refuse(_ error: EtcdError) { finish(GRPCStatus(error)) }

    /// Sends one message and ends the call.
    func answer(_ message: some EtcdAPI.Message) {
        send { message.encode(into: &$0) }
        finish()
    }

    /// The answer to a proposal, which the member has encoded already.
    func answer(_ answer: MemberAnswer) {
        switch answer {
        case .applied(.response(let bytes)):
            bytes.withUnsafeBytes { sendEncoded($0) }
            finish()
        case .applied(.refused(let error)), .refused(let error): refuse(error)
        default: finish(GRPCStatus(.internal, "the member answered something else than was asked"))
        }
    }

    /// Bytes that are no message of this kind: what grpc-go answers.
    func refuseMalformed(_ error: any Error) {
        finish(GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)"))
    }
}
