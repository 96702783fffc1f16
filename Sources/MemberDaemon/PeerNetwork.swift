import Bytes
import ClientAPI
import Configuration
import HTTP2
import Member
import Membership
import NIOCore
import NIOPosix
import PeerTransport
import Records
import TLS
import Telemetry

/// The event loop that all traffic between members has to itself, and a client for plain requests on it. There before the member
/// is, because a joining one has to ask who it is.
final class PeerNetwork: Sendable {
    /// A member that is founded asks for no longer than this whether it has served before (etcd asks for a second).
    private static let foundingTimeout = Duration.seconds(1)
    private static let joiningTimeout = Duration.seconds(10)
    private static let versionTimeout = Duration.seconds(2)

    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let client: PeerHTTPClient
    private let log: Log

    /// `localAddress`: that connections to other members come from, or nil for the system's choice.
    init(_ tls: MemberTLS, localAddress: String?, _ log: Log) {
        self.log = log
        let address = localAddress.flatMap { try? SocketAddress(ipAddress: $0, port: 0) }
        client = PeerHTTPClient(eventLoop: group.next(), localAddress: address) { channel, name in
            try channel.pipeline.syncOperations.addHandler(tls.peerDialer().makeHandler(host: name))
        }
    }

    var eventLoop: any EventLoop { client.eventLoop }

    func stop() {
        client.close()
        try? group.syncShutdownGracefully()
    }

    // MARK: before the member runs; these wait

    /// The first answer to who belongs to the cluster, nil without any. The URLs are tried in order.
    func runningCluster(_ urls: [String], isFounding: Bool) -> RunningCluster? {
        for url in urls {
            let timeout = isFounding ? PeerNetwork.foundingTimeout : PeerNetwork.joiningTimeout
            do {
                let answer = try client.request(PeerRequest("GET", url: url + "/members", timeout: timeout)).wait()
                let cluster = try RunningCluster(decodingJSON: answer.body, header: answer.first("x-etcd-cluster-id"))
                if !cluster.members.isEmpty { return cluster }
            } catch {
                guard !isFounding else { continue }
                log.warn("failed to get cluster response", ["address": .string(url + "/members"), "error": .error(error)])
            }
        }
        return nil
    }

    /// The answers of those that answer.
    func versions(of members: [MemberRecord]) -> [PeerVersions] {
        members.map { version(of: $0) }.compactMap { try? $0.wait() }
    }

    // MARK: any time

    /// A member's hash at a revision. Where nothing is stored for it the member reads its whole history, which takes a while.
    func hash(of member: MemberRecord, at revision: Int64, clusterID: UInt64, timeout: Duration) -> EventLoopFuture<HashAnswer> {
        let fields = [
            HTTPField("x-etcd-cluster-id", MemberIdentity.text(clusterID)), HTTPField("content-type", "application/json"),
        ]
        return ask(
            member.peerURLs[...], path: "/members/hashkv", method: "GET", body: PeerHash.request(revision: revision),
            fields: fields, timeout: timeout
        ).map { HashAnswer($0, asked: revision) }
            .flatMapErrorThrowing { .unreachable(reason: "\($0)") }
    }

    /// What a member says of its release, under the first of its URLs that answers.
    func version(of member: MemberRecord) -> EventLoopFuture<PeerVersions> {
        ask(member.peerURLs[...], path: "/version", method: "GET", timeout: PeerNetwork.versionTimeout)
            .flatMapThrowing { try PeerVersions(decodingJSON: $0.body) }
    }

    /// Tries one URL after the other until one answers at all.
    func ask(
        _ urls: ArraySlice<String>, path: String, method: String, body: [UInt8] = [],
        fields: [HTTPField] = [HTTPField("content-type", "application/protobuf")], timeout: Duration
    ) -> EventLoopFuture<PeerResponse> {
        guard let url = urls.first else {
            return eventLoop.makeFailedFuture(PeerRequestError.connect("the member has no URL"))
        }
        let request = PeerRequest(
            method, url: url + path, fields: body.isEmpty ? [] : fields, body: body, timeout: timeout)
        return client.request(request).flatMapError { error in
            if urls.count == 1 { return self.eventLoop.makeFailedFuture(error) }
            return self.ask(urls.dropFirst(), path: path, method: method, body: body, fields: fields, timeout: timeout)
        }
    }
}

extension HashAnswer {
    fileprivate init(_ response: PeerResponse, asked: Int64) {
        if response.status == 200, let hash = PeerHash.hash(inResponse: response.body, asked: asked) {
            self = .hash(hash)
            return
        }
        let text = String(decoding: response.body, as: UTF8.self)
        self =
            if text.contains(PeerHash.compacted) {
                .compacted
            } else if text.contains(PeerHash.futureRevision) {
                .behind
            } else if response.status == 412 {
                .otherCluster
            } else {
                .unreachable(reason: "status \(response.status): \(text)")
            }
    }
}
