import Host
import Raft

/// What ``PeerLinks`` wants done.
public enum LinkEffect: Equatable, Sendable {
    /// Ask for a stream to read from. Answered with ``PeerLinks/dialed(_:attempt:now:_:)`` or ``PeerLinks/dialFailed(_:attempt:_:now:_:)``.
    case dial(StreamKind, attempt: UInt64, url: PeerURL)
    /// Give a dialed stream, or the attempt, up; `lost` is why a stream is given up that was wanted. Nothing more is heard of it.
    case hangUp(StreamKind, attempt: UInt64, lost: String? = nil)
    /// Close a stream that is written to, as above. Nothing more is heard of it.
    case closeWriter(StreamKind, stream: UInt64, lost: String? = nil)
    /// Write a link heartbeat now.
    case heartbeat(StreamKind, stream: UInt64)
    /// Send one message with a request of its own. Answered with ``PeerLinks/posted(_:failure:now:_:)``.
    case post(Message, number: UInt64, url: PeerURL)
    /// Messages to the peer were lost; raft probes before it sends more.
    case unreachable
    /// So many messages found no room.
    case dropped(Int)
    case becameActive
    case becameInactive(reason: String)
    /// The peer says that the local member was removed from the cluster.
    case removedFromCluster
}

/// Why a peer did not do what it was asked for.
public enum PeerFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// Not connected, cut off, too slow, or no answer that could be understood.
    case connection(String)
    /// The peer refuses: another cluster, another version, an unknown member.
    case refused(String)
    /// The peer knows that the local member was removed.
    case removed

    public var description: String {
        switch self {
        case .connection(let reason), .refused(let reason): reason
        case .removed: "the member has been permanently removed from the cluster"
        }
    }
}

/// Limits and times of one peer's links. The defaults are etcd's where nothing else is said.
public struct LinkLimits: Sendable {
    /// A stream nothing is read from for so long is given up.
    public var readTimeout = Instant.Span.seconds(5)
    /// A stream that takes nothing for so long is given up.
    public var writeTimeout = Instant.Span.seconds(5)
    /// From the beginning of a dial to the head of the answer.
    public var dialTimeout = Instant.Span.seconds(7)
    /// Between dials of one stream: the first after a failure, doubled with each further one up to `slowestRedial` (etcd: never).
    public var redial = Instant.Span.milliseconds(100)
    public var slowestRedial = Instant.Span.milliseconds(800)
    public var streamQueue = 4_096
    /// Bytes that wait for one stream (etcd: no limit).
    public var streamQueueBytes = 64 << 20
    public var pipelineQueue = 64
    public var pipelineConnections = 4

    public init() {}

    static let timedOut = "i/o timeout"

    /// So that the reader hears something in time: it has the same timeout, or still the default, which is the least that is allowed.
    var linkHeartbeat: Instant.Span { Instant.Span(nanoseconds: min(readTimeout, LinkLimits().readTimeout).nanoseconds / 3) }
}
