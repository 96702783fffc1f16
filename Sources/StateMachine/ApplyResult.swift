import EtcdAPI
import MVCC

/// What applying one entry answers to whoever proposed it.
public enum ApplyReply: Sendable {
    /// The encoded response message, header included.
    case response([UInt8])
    case refused(EtcdError)
}

/// What applying one entry asks of the member beyond the reply.
public enum ApplyEffect: Equatable, Sendable {
    /// A write went over the quota: propose a NOSPACE alarm for this member.
    case raiseNoSpace
    /// The cluster version was set.
    case clusterVersionChanged
    /// Authentication was turned on or off.
    case authenticationSwitched
    /// A checkpoint of leases was applied.
    case remainingTimesWritten
    case alarmRaised(AlarmMember)
    case alarmLifted(AlarmMember)
}

/// Requests applied since the start, by kind.
public struct AppliedCounts: Equatable, Sendable {
    public var ranges: UInt64 = 0
    public var puts: UInt64 = 0
    /// Bytes of keys and values put.
    public var putBytes: UInt64 = 0
    public var deletes: UInt64 = 0
    /// Transactions of more than one operation.
    public var transactions: UInt64 = 0
    var operations: UInt64 { ranges + puts + deletes }
    public var leasesGranted: UInt64 = 0
    public var leasesRevoked: UInt64 = 0
    public var leasesRenewed: UInt64 = 0
    public var leasesExpired: UInt64 = 0
    /// Refused before they entered the log, or not applied in time.
    public var failedProposals: UInt64 = 0

    public init() {}
}

/// An entry that this release cannot apply: skipping it would let members differ, so the member stops.
public struct UnappliableEntry: Error, Equatable, Sendable, CustomStringConvertible {
    public let index: UInt64
    public let reason: String
    public init(index: UInt64, reason: String) {
        self.index = index
        self.reason = reason
    }

    public var description: String { "cannot apply entry \(index): \(reason)" }
}
