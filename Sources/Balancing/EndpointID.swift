/// Names one endpoint for the life of the process. A number is never used again, so a late report about an endpoint that is gone
/// cannot be taken for one about its successor.
public struct EndpointID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static func < (left: EndpointID, right: EndpointID) -> Bool { left.rawValue < right.rawValue }
    public var description: String { "endpoint \(rawValue)" }
}

/// What a request asks of the endpoint that serves it.
public enum RequestKind: Int, CaseIterable, Sendable {
    /// Changes the cluster's state. Goes to the leader when that is preferred.
    case write
    /// Needs a leader: linearizable reads, watches, lease streams.
    case read
    /// Any member can answer, even one that knows no leader.
    case serializableRead
    /// A whole connection, whatever goes through it.
    case connection
}

/// How one use of an endpoint ended.
public enum Outcome: Equatable, Sendable {
    /// Any answer that shows that the member works, its refusals included.
    case succeeded
    /// Refused, or no way to it.
    case connectFailed
    /// No answer to the attempt to connect, TLS included.
    case connectTimedOut
    /// The connection broke before the answer.
    case connectionLost
    /// No answer within a limit of the proxy's own, never the client's deadline.
    case timedOut
    /// The member itself answered that it cannot: Unavailable, 502, 503.
    case unavailable
    /// The client gave up: says nothing about the endpoint.
    case abandoned

    public var isFailure: Bool { self != .succeeded && self != .abandoned }
}

/// Why streams and connections are to be moved off an endpoint.
public enum LeaveReason: String, Equatable, Sendable {
    case unreachable, hung, failing
    case noLeader = "no leader"
    case learner, corrupt
    case wrongCluster = "wrong cluster"
    case ownAddress = "own address"
    case removed
}
