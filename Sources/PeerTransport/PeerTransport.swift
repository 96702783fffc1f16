import Host
import NIOCore
import NIOPosix
import Raft
import Records
import Synchronization
import Telemetry
import WAL

/// Messages between members over HTTP, as etcd's rafthttp has them. Everything happens on one event loop that does nothing else; the
/// functions here may be called from any thread and never block.
public final class PeerTransport: Sendable {
    private struct Outbox {
        var messages: [Message] = []
        var isScheduled = false
    }

    let shared: TransportShared
    let loop: NIOLoopBoundBox<TransportLoop>
    private let outbox = Mutex(Outbox())

    /// - Parameters:
    ///   - eventLoop: of the peers alone; `client` uses it too.
    ///   - pool: for reading and writing databases.
    ///   - snapshots: where received databases go.
    public init(
        _ settings: PeerSettings, eventLoop: any EventLoop, client: PeerHTTPClient, pool: NIOThreadPool,
        snapshots: SnapshotDirectory, metrics: NetworkMetrics, log: Log, sink: any PeerSink
    ) {
        precondition(client.eventLoop === eventLoop, "the transport and its client share an event loop")
        let shared = TransportShared(
            settings, eventLoop: eventLoop, client: client, pool: pool, snapshots: snapshots, metrics: metrics, log: log,
            sink: sink)
        self.shared = shared
        loop = NIOLoopBoundBox.makeBoxSendingValue(TransportLoop(shared), eventLoop: eventLoop)
        eventLoop.execute { [loop] in loop.value.start() }
    }

    /// Sends what it can and reports what it could not. Snapshots go with ``sendSnapshot(_:database:)``.
    public func send(_ messages: [Message]) {
        guard !messages.isEmpty else { return }
        let mustSchedule = outbox.withLock { outbox in
            if outbox.messages.isEmpty { outbox.messages = messages } else { outbox.messages += messages }
            defer { outbox.isScheduled = true }
            return !outbox.isScheduled
        }
        if mustSchedule { shared.eventLoop.execute { self.empty() } }
    }

    private func empty() {
        let messages = outbox.withLock { outbox in
            defer { outbox = Outbox() }
            return outbox.messages
        }
        loop.value.send(messages)
    }

    /// Sends a snapshot message with its database, beside all other traffic. The outcome goes to the sink.
    public func sendSnapshot(_ message: Message, database: any SnapshotDatabase) {
        precondition(message.kind == .snapshot, "only a snapshot comes with a database")
        shared.eventLoop.execute { self.loop.value.sendSnapshot(message, database) }
    }

    /// The whole membership as it is now, the local member included or not, and everybody who was ever removed.
    public func update(members: [PeerMember], removed: Set<MemberID>) {
        shared.eventLoop.execute { self.loop.value.update(members: members, removed: removed) }
    }

    /// Somebody who is a member according to others. Helps a member that has just joined to answer; without effect for a known member.
    public func addRemote(_ member: PeerMember) {
        shared.eventLoop.execute { self.loop.value.addRemote(member) }
    }

    /// Since when messages to and from a member get through; nil while they do not. The clock is the host's monotonic one.
    public func activeSince(_ member: MemberID) -> Instant? { shared.activity(of: member).since }

    /// A number for the connections with a member, which changes whenever one of them is new: while it stays, the same process is at
    /// the other end. Nil while no messages get through.
    public func connection(with member: MemberID) -> UInt64? {
        let activity = shared.activity(of: member)
        return activity.since == nil ? nil : activity.changes
    }

    /// Closes all connections. Nothing is sent or told afterwards.
    public func stop() -> EventLoopFuture<Void> {
        shared.eventLoop.submit { self.loop.value.stop() }
    }
}
