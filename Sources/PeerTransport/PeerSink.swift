import NIOCore
import Raft

/// What the transport tells the member. Called on the peers' event loop, one call at a time; must not block.
public protocol PeerSink: AnyObject, Sendable {
    /// Messages that arrived together, those of one stream in order.
    ///
    /// - Returns: how many were taken, from the front. The others are dropped and counted: raft repeats what it needs.
    func received(_ messages: [Message]) -> Int
    /// Messages to these members were lost.
    func unreachable(_ members: [MemberID])
    /// What became of a database; exactly once for each.
    func snapshotSent(to member: MemberID, succeeded: Bool)
    /// A snapshot message whose database is durable at the path `database`.
    func snapshotReceived(_ message: Message, database: String)
    /// A peer answered that the local member was removed from the cluster.
    func removedFromCluster()
}

/// A database on its way to a peer.
public protocol SnapshotDatabase: AnyObject, Sendable {
    /// Bytes that ``next()`` yields in all.
    var size: Int { get }
    /// The next piece, nil after the last. Called on threads of a pool, one call at a time, never on an event loop.
    func next() throws -> ByteBuffer?
}
