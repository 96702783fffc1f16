import Balancing
import Bytes
import Configuration
import EtcdAPI
import GRPC
import HTTP2
import NIOCore
import NIOPosix
import ProxyTransport

/// Looks at endpoints: asks members for their status over gRPC, or for their health pages over HTTP, or only connects. Confined to one
/// event loop.
final class Prober {
    private let eventLoop: any EventLoop
    private let client: GRPCUnaryClient
    private let pages: PageFetcher
    private let kind: ProbeKind
    private let pagePort: UInt16
    /// In tcp mode an endpoint may demand certificates that only clients have: that it answers at all is good news then.
    private let takesAnyAnswer: Bool
    private let isOwn: (EndpointAddress) -> EventLoopFuture<Bool>
    private var known: [EndpointAddress: Bool] = [:]

    init(
        eventLoop: any EventLoop, kind: ProbeKind, pagePort: UInt16, takesAnyAnswer: Bool, timeout: Duration,
        security: MemberTransport, isOwn: @escaping (EndpointAddress) -> EventLoopFuture<Bool>
    ) {
        self.eventLoop = eventLoop
        self.kind = kind
        self.pagePort = pagePort
        self.takesAnyAnswer = takesAnyAnswer
        self.isOwn = isOwn
        var configuration = HTTP2ClientConfiguration()
        configuration.connectTimeout = timeout
        client = GRPCUnaryClient(
            output: LoopOutput(eventLoop: eventLoop), configuration: configuration, security: { security.http2($0.host) })
        pages = PageFetcher(eventLoop: eventLoop, security: security)
    }

    // MARK: Probes

    func probe(_ address: EndpointAddress, timeout: Duration) -> EventLoopFuture<ProbeResult> {
        if let isOwn = known[address] { return isOwn ? ownAddress : look(address, timeout) }
        return isOwn(address).assumeIsolated().flatMap { isOwn in
            self.known[address] = isOwn
            return isOwn ? self.ownAddress : self.look(address, timeout)
        }.nonisolated()
    }

    private var ownAddress: EventLoopFuture<ProbeResult> {
        eventLoop.makeSucceededFuture(.failed(.ownAddress, detail: "the proxy listens there itself"))
    }

    private func look(_ address: EndpointAddress, _ timeout: Duration) -> EventLoopFuture<ProbeResult> {
        if pagePort > 0, !address.isUnixSocket {
            return pages.health(EndpointAddress(scheme: .http, host: address.host, port: pagePort), timeout)
        }
        switch kind {
        case .status: return status(address, timeout)
        case .http: return pages.health(address, timeout)
        case .tcp: return connect(address, timeout)
        case .automatic:
            return status(address, timeout).assumeIsolated().flatMap { result in
                guard case .failed(.garbled, _) = result else { return self.eventLoop.makeSucceededFuture(result) }
                // Not gRPC, or not for us: the health pages may be open to anyone.
                return self.pages.health(address, timeout)
            }.map { self.judge($0) }.nonisolated()
        }
    }

    private func judge(_ result: ProbeResult) -> ProbeResult {
        guard takesAnyAnswer, case .failed(let failure, _) = result, failure == .security || failure == .garbled else {
            return result
        }
        return .answered(ProbeReport())
    }

    private func status(_ address: EndpointAddress, _ timeout: Duration) -> EventLoopFuture<ProbeResult> {
        client.call(GRPCTarget(address), "/etcdserverpb.Maintenance/Status", [], timeout: timeout).map { reply in
            switch reply {
            case .message(let bytes):
                guard let status = try? StatusResponse(decoding: bytes) else {
                    return .failed(.garbled, detail: "the answer is no member status")
                }
                return .answered(ProbeReport(status))
            case .status(let status): return ProbeResult(status)
            case .failed(let failure, let detail): return .failed(ProbeFailure(failure, detail), detail: detail)
            }
        }
    }

    private func connect(_ address: EndpointAddress, _ timeout: Duration) -> EventLoopFuture<ProbeResult> {
        pages.connect(address, timeout) { _ in }.map { channel in
            channel.close(promise: nil)
            return .answered(ProbeReport())
        }.flatMapErrorThrowing { .failed(ProbeFailure($0), detail: "\($0)") }
    }

    // MARK: Members

    /// The cluster's members, or nil when the endpoint does not say. What it knows alone may be old: members that joined since would be
    /// forgotten for it.
    func members(_ address: EndpointAddress, timeout: Duration) -> EventLoopFuture<MemberListing?> {
        client.call(
            GRPCTarget(address), "/etcdserverpb.Cluster/MemberList", MemberListRequest(linearizable: true).encoded(),
            timeout: timeout
        ).map { reply in
            guard case .message(let bytes) = reply, let list = try? MemberListResponse(decoding: bytes), let header = list.header
            else { return nil }
            return MemberListing(clusterID: header.clusterId, members: list.members.map { MemberListing.Member($0) })
        }
    }

    func forget(_ address: EndpointAddress) {
        known[address] = nil
        client.close(GRPCTarget(address))
    }
}

extension GRPCTarget {
    init(_ address: EndpointAddress) {
        self.init(
            address: address.isUnixSocket ? .unix(path: address.socketPath) : .tcp(host: address.host, port: Int(address.port)),
            isSecure: address.isSecure, authority: address.isUnixSocket ? "localhost" : address.authority)
    }

    /// Without port; for a socket the name that its certificate must be valid for.
    var host: String {
        switch address {
        case .tcp(let host, _): host
        case .unix: "localhost"
        }
    }
}

extension ProbeReport {
    /// Alarms are found in the status's error texts, as etcd 3.4 to 3.7 write them: `memberID:N alarm:CORRUPT `.
    init(_ status: StatusResponse) {
        self.init()
        clusterID = status.header?.clusterId
        memberID = status.header?.memberId
        revision = status.header?.revision
        leaderID = status.leader
        raftTerm = status.raftTerm
        appliedIndex = status.raftAppliedIndex
        isLearner = status.isLearner
        version = status.version
        for text in status.errors where Self.isAbout(memberID ?? 0, text) {
            if text.contains("CORRUPT") { alarms.insert(.corrupt) }
            if text.contains("NOSPACE") { alarms.insert(.noSpace) }
        }
    }

    private static func isAbout(_ member: UInt64, _ alarm: String) -> Bool {
        guard let start = alarm.range(ofPrefix: "memberID:") else { return false }
        return UInt64(alarm[start...].prefix { $0.isNumber }) == member
    }
}

extension String {
    /// Where the text goes on after `prefix`, or nil if it begins otherwise.
    fileprivate func range(ofPrefix prefix: String) -> String.Index? {
        hasPrefix(prefix) ? index(startIndex, offsetBy: prefix.count) : nil
    }
}

extension ProbeResult {
    /// A member that refuses to tell its status is there; which refusals say that it is not well, is in the code.
    init(_ status: GRPCStatus) {
        switch status.code {
        case .deadlineExceeded: self = .failed(.timedOut, detail: "no answer in time")
        case .unavailable, .internal, .unknown, .resourceExhausted:
            self = .failed(.garbled, detail: "status refused: \(status.message)")
        case .unimplemented: self = .failed(.garbled, detail: "it serves no etcd API")
        default: self = .answered(ProbeReport())
        }
    }
}

extension ProbeFailure {
    init(_ failure: GRPCUnaryReply.Failure, _ detail: String) {
        switch failure {
        case .connectTimedOut, .timedOut: self = .timedOut
        case .malformed, .connectionLost: self = .garbled
        case .connectFailed: self = .refused
        }
    }

    init(_ error: any Error) {
        switch error {
        case ChannelError.connectTimeout: self = .timedOut
        case is SocketAddressError: self = .unresolved
        case PageFetcher.Problem.timedOut: self = .timedOut
        case PageFetcher.Problem.garbled: self = .garbled
        case PageFetcher.Problem.security: self = .security
        default: self = .refused
        }
    }
}

extension MemberListing.Member {
    init(_ member: ClusterMember) {
        self.init(
            id: member.id, clientAddresses: member.clientURLs.compactMap { try? EndpointAddress(parsing: $0) })
    }
}
