import Bytes
import EtcdAPI
import HTTP2
import MVCC
import Member
import Records

/// What followers ask of their leader over the peer port: renewals and times of leases, promotion of learners.
extension HealthRouter {
    func leasePage(_ exchange: HTTPExchange) {
        guard exchange.request.method == "POST" else { return refuse(exchange, 405, "Method Not Allowed") }
        let body = exchange.request.body
        if exchange.request.path == "/leases" {
            guard let request = try? LeaseKeepAliveRequest(decoding: body) else { return refuseMalformed(exchange) }
            ask(.renewLease(request.id), exchange) { answer in
                guard case .leaseRenewed(let ttl) = answer else { return nil }
                return LeaseKeepAliveResponse(id: request.id, ttl: ttl).encoded()
            }
        } else {
            guard let request = (try? LeaseInternalRequest(decoding: body))?.leaseTimeToLiveRequest else {
                return refuseMalformed(exchange)
            }
            ask(.leaseTimeToLive(request.id, keys: request.keys), exchange) { answer in
                guard case .leaseTimes(let remaining, let granted, let keys) = answer else { return nil }
                let times = LeaseTimeToLiveResponse(
                    header: ResponseHeader(), id: request.id, ttl: remaining, grantedTTL: granted, keys: keys)
                return LeaseInternalResponse(leaseTimeToLiveResponse: times).encoded()
            }
        }
    }

    private func refuseMalformed(_ exchange: HTTPExchange) { refuse(exchange, 400, "error unmarshalling request") }

    private func refuse(_ exchange: HTTPExchange, _ status: Int, _ reason: String) {
        exchange.respond(status: status, fields: plainText(exchange), text: reason + "\n")
    }

    private func ask(
        _ command: MemberCommand, _ exchange: HTTPExchange, _ encode: @escaping (MemberAnswer) -> [UInt8]?
    ) {
        member.submit(command) { [self] answer in
            if let body = encode(answer) {
                return exchange.respond(status: 200, fields: [HTTPField("content-type", "application/protobuf")], body: body)
            }
            switch answer {
            case .refused(.leaseNotFound): refuse(exchange, 404, "lease not found")
            case .refused(.timeout): refuse(exchange, 408, "waiting for node to catch up its applied index has timed out")
            default: refuse(exchange, 400, "not a primary lessor")
            }
        }
    }

    /// `/members/promote/ID`, the id in decimal.
    func promotionPage(_ exchange: HTTPExchange, prefix: String) {
        guard exchange.request.method == "POST" else { return refuse(exchange, 405, "Method Not Allowed") }
        let text = exchange.request.path.dropFirst(prefix.count)
        guard let id = UInt64(text) else { return refuse(exchange, 404, "member \(text) not found in cluster") }
        member.submit(.changeMembership(.promote(id))) { [self] answer in
            switch answer {
            case .members(let members): exchange.respond(status: 200, fields: memberFields, text: list(members))
            case .refused(.memberNotFound): refuse(exchange, 404, "membership: ID not found")
            case .refused(.memberNotLearner): refuse(exchange, 412, "membership: can only promote a learner member")
            case .refused(.learnerNotReady): refuse(exchange, 412, EtcdError.learnerNotReady.message)
            case .refused(.timeout): refuse(exchange, 408, EtcdError.timeout.message)
            case .refused(let error): refuse(exchange, 503, error.message)
            default: refuse(exchange, 500, "Internal Server Error")
            }
        }
    }

    /// `/members/hashkv`: the hash at a revision, for a member that compares its own with it. The request is a GET with a body.
    func hashPage(_ exchange: HTTPExchange) {
        let clusterID = MemberIdentity.text(member.published.status.clusterID)
        if let asked = exchange.request.first("x-etcd-cluster-id"), asked != clusterID {
            return refuse(exchange, 412, "cluster ID mismatch")
        }
        guard let revision = PeerHash.revision(inRequest: exchange.request.body) else { return refuseMalformed(exchange) }
        let published = member.published
        if revision != 0, let stored = published.status.storedHashes.first(where: { $0.revision == revision }) {
            return answer(stored, exchange)
        }
        member.background {
            try published.view.hashKeyValues(at: revision)
        } done: { [self] result in
            switch result {
            case .success(let hash): answer(hash, exchange)
            case .failure(StoreError.compacted): refuse(exchange, 400, PeerHash.compacted)
            case .failure(StoreError.futureRevision): refuse(exchange, 400, PeerHash.futureRevision)
            case .failure(let error): refuse(exchange, 500, "\(error)")
            }
        }
    }

    private func answer(_ hash: KeyValueHash, _ exchange: HTTPExchange) {
        let body = PeerHash.response(
            hash, current: max(hash.revision, member.published.view.currentRevision),
            tellsRevision: pages.behavesAsMinor >= 6)
        exchange.respond(status: 200, fields: memberFields, body: body)
    }

    var memberFields: [HTTPField] {
        [
            HTTPField("content-type", "application/json"),
            HTTPField("x-etcd-cluster-id", MemberIdentity.text(member.published.status.clusterID)),
        ]
    }

    func list(_ members: [MemberRecord]) -> String {
        "[" + members.map { String(decoding: $0.json, as: UTF8.self) }.joined(separator: ",") + "]\n"
    }
}
