import Host

/// What one look at an endpoint found.
public enum ProbeResult: Equatable, Sendable {
    case answered(ProbeReport)
    case failed(ProbeFailure, detail: String)
}

/// What a member says of itself in answer to a probe. Parts that this way of probing cannot tell are nil.
public struct ProbeReport: Equatable, Sendable {
    public enum Alarm: Hashable, Sendable { case noSpace, corrupt }

    public var clusterID: UInt64?
    public var memberID: UInt64?
    /// 0 when the member knows no leader.
    public var leaderID: UInt64?
    public var raftTerm: UInt64?
    public var revision: Int64?
    public var appliedIndex: UInt64?
    public var isLearner = false
    /// Alarms that this member raised.
    public var alarms: Set<Alarm> = []
    public var version = ""
    /// The member answered that it is not ready, with these words.
    public var notReady: String?

    public init() {}

    public var hasLeader: Bool { leaderID != 0 }
    public var isLeader: Bool { memberID != nil && memberID == leaderID }
}

public enum ProbeFailure: Equatable, Sendable {
    /// Refused, reset at once, or no route.
    case refused
    /// No answer within the probe's time.
    case timedOut
    /// The host name has no address.
    case unresolved
    /// TLS: a certificate that is not trusted, or a refusal of ours.
    case security
    /// An answer that makes no sense.
    case garbled
    /// The address is one the proxy itself listens on.
    case ownAddress

    /// One such result is enough to leave an endpoint.
    var isDecisive: Bool { self == .refused || self == .timedOut || self == .ownAddress }

    var leaveReason: LeaveReason {
        switch self {
        case .refused, .unresolved, .security: .unreachable
        case .timedOut: .hung
        case .garbled: .failing
        case .ownAddress: .ownAddress
        }
    }
}

/// How an endpoint stands with the balancer, best first.
public enum Standing: Int, Comparable, Sendable, CaseIterable {
    case serving
    /// Not probed yet.
    case unproven
    /// Answers probes but failed requests: left alone for a while.
    case ejected
    case noLeader
    case learner
    case down
    case corrupt
    /// Another cluster, or the proxy itself: never used, whatever happens.
    case forbidden

    public static func < (left: Standing, right: Standing) -> Bool { left.rawValue < right.rawValue }

    public var name: String {
        switch self {
        case .serving: "serving"
        case .unproven: "unproven"
        case .ejected: "ejected"
        case .noLeader: "no-leader"
        case .learner: "learner"
        case .down: "down"
        case .corrupt: "corrupt"
        case .forbidden: "forbidden"
        }
    }

    /// Where requests of this kind go, in turn. An entry counts only when no endpoint is in one before it.
    static func order(for kind: RequestKind) -> [Standing] {
        switch kind {
        case .serializableRead: [.serving, .unproven, .noLeader, .learner, .ejected, .down, .corrupt]
        case .write, .read, .connection: [.serving, .unproven, .ejected, .noLeader, .down, .learner, .corrupt]
        }
    }
}
