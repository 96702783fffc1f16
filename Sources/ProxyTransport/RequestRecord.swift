import Balancing
import HTTP2
import NIOCore

/// What there is to say about one request or stream that was forwarded.
public struct RequestRecord: Sendable {
    public enum End: String, Sendable {
        case answered
        case cancelled = "cancelled by client"
        /// The client got part of an answer and a reset.
        case brokenOff = "broken off"
    }

    /// The client's address.
    public let client: String
    /// The path of a gRPC call; method and path of any other request. At most ``RequestNote/longestName`` bytes.
    public let name: String
    public let isGRPC: Bool
    /// Whom it went to last.
    public fileprivate(set) var endpoint: EndpointAddress?
    /// Times it was sent to an endpoint.
    public fileprivate(set) var attempts = 0
    public fileprivate(set) var end = End.cancelled
    /// The gRPC status or the HTTP status of the answer.
    public fileprivate(set) var code: Int?
    /// Body bytes from the client.
    public fileprivate(set) var requestBytes: UInt64 = 0
    /// Body bytes from endpoints, those of attempts that failed included.
    public fileprivate(set) var responseBytes: UInt64 = 0
    public fileprivate(set) var duration = Duration.zero
}

/// Gathers the record of one request while it is under way. Made only when somebody asked for records. Confined to one event loop.
final class RequestNote {
    private var record: RequestRecord
    private let tell: @Sendable (RequestRecord) -> Void
    private let began: NIODeadline
    private let eventLoop: any EventLoop
    private var isTold = false

    /// What clients send as a path is theirs to choose.
    static let longestName = 256

    init(
        _ connection: ConnectionInfo?, _ eventLoop: any EventLoop, name: String, isGRPC: Bool,
        _ tell: @escaping @Sendable (RequestRecord) -> Void
    ) {
        let short =
            name.utf8.count <= Self.longestName ? name : String(decoding: name.utf8.prefix(Self.longestName), as: UTF8.self)
        record = RequestRecord(client: connection?.peerDescription ?? "unknown", name: short, isGRPC: isGRPC)
        self.tell = tell
        self.eventLoop = eventLoop
        began = eventLoop.now
    }

    func sent(to endpoint: EndpointAddress) {
        record.endpoint = endpoint
        record.attempts += 1
    }

    func requestBytes(_ count: Int) { record.requestBytes += UInt64(count) }
    func responseBytes(_ count: Int) { record.responseBytes += UInt64(count) }

    func answered(_ code: Int?) {
        record.end = .answered
        record.code = code
    }

    func brokenOff() { record.end = .brokenOff }

    /// The request is over.
    func finish() {
        guard !isTold else { return }
        isTold = true
        record.duration = .nanoseconds((eventLoop.now - began).nanoseconds)
        tell(record)
    }
}

extension HeaderBlock {
    /// The gRPC status among trailers, or among the header fields of an answer that is nothing else.
    var statusCode: Int? { first("grpc-status").flatMap { Int(String(decoding: $0, as: UTF8.self)) } }
}
