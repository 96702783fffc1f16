import EtcdAPI
import MVCC
import Raft
import Records
import StateMachine

/// Where an answer goes: an event loop and the number it knows the request by.
public struct ReplyAddress: Hashable, Sendable {
    public let loop: Int
    public let request: UInt64

    public init(loop: Int, request: UInt64) {
        self.loop = loop
        self.request = request
    }
}

/// A change of membership as an operator asks for it.
public enum MembershipRequest: Equatable, Sendable {
    case add(MemberRecord)
    case remove(MemberID)
    case update(MemberID, peerURLs: [String])
    case promote(MemberID)
}

/// What clients' requests become on their way to the member thread.
public enum MemberCommand: Sendable {
    /// An encoded InternalRaftRequest with the id `id`. `afterCompaction`: answer when the compaction has removed everything.
    case propose(payload: [UInt8], id: UInt64, afterCompaction: Bool)
    case renewLease(Int64)
    case leaseTimeToLive(Int64, keys: Bool)
    case listLeases
    case changeMembership(MembershipRequest)
    case moveLeader(to: MemberID)
    /// Before a stop: answered when this member leads no longer, or nobody could take over.
    case handOverLeadership
    /// Answered once a read at the newest published view is linearizable.
    case readIndex
    /// Answered once everything applied so far is in the page file.
    case commitPages
    case defragment
}

public struct ClientRequest: Sendable {
    public let command: MemberCommand
    public let reply: ReplyAddress

    public init(_ command: MemberCommand, reply: ReplyAddress) {
        self.command = command
        self.reply = reply
    }
}

public enum MemberAnswer: Sendable {
    case applied(ApplyReply)
    case leaseRenewed(ttl: Int64)
    case leaseTimes(remaining: Int64, granted: Int64, keys: [[UInt8]])
    case leases([Int64])
    case members([MemberRecord])
    case done
    case refused(EtcdError)
}
