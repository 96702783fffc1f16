import Balancing

/// How the L4 relay behaves.
public struct RelaySettings: Sendable {
    public var connectTimeout: Duration = .seconds(1)
    /// An endpoint that got bytes and says nothing for so long is looked at.
    public var suspicionTime: Duration = .milliseconds(500)
    /// After both sides have ended, one that does not take what is left for it is waited for so long.
    public var lingerTime: Duration = .seconds(60)
    /// Connections from one client address belong together.
    public var isSticky = false
    /// Called on the event loop when a connection has ended.
    public var connectionEnded: (@Sendable (RelayRecord) -> Void)?

    public init() {}
}

/// What there is to say about a connection that was relayed.
public struct RelayRecord: Sendable {
    public let client: String
    public let endpoint: EndpointAddress?
    public let sentBytes: UInt64
    public let receivedBytes: UInt64
    public let duration: Duration
    /// How many endpoints were tried.
    public let attempts: Int
    public let end: RelayEnd
}

/// Why a relayed connection ended.
public enum RelayEnd: Equatable, Sendable {
    case closedByClient, closedByEndpoint
    /// The endpoint was left.
    case moved(LeaveReason)
    case noEndpoint
    case failed
    case draining

    public var name: String {
        switch self {
        case .closedByClient: "closed by client"
        case .closedByEndpoint: "closed by endpoint"
        case .moved(let reason): "moved off: \(reason.rawValue)"
        case .noEndpoint: "no endpoint"
        case .failed: "failed"
        case .draining: "draining"
        }
    }
}
