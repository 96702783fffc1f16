import GRPC
import Member

extension MemberStatus {
    /// Why no client is served, for people; nil when clients are.
    var whyNoClientIsServed: String? {
        isAuthenticationEnabled ? "authentication is enabled in this cluster and this release does not enforce it" : nil
    }

    /// The same as the end of a call.
    var refusalOfClients: GRPCStatus? { whyNoClientIsServed.map { GRPCStatus(.unavailable, "quorate: " + $0) } }
}
