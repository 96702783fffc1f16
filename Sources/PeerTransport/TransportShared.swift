import Host
import NIOCore
import NIOPosix
import Raft
import Synchronization
import Telemetry
import WAL

/// What every part of the transport needs to know; from any thread.
final class TransportShared: Sendable {
    let settings: PeerSettings
    let eventLoop: any EventLoop
    let client: PeerHTTPClient
    let pool: NIOThreadPool
    let snapshots: SnapshotDirectory
    let metrics: NetworkMetrics
    let log: Log
    let sink: any PeerSink
    private let active = Mutex<[MemberID: Instant]>([:])

    init(
        _ settings: PeerSettings, eventLoop: any EventLoop, client: PeerHTTPClient, pool: NIOThreadPool,
        snapshots: SnapshotDirectory, metrics: NetworkMetrics, log: Log, sink: any PeerSink
    ) {
        self.settings = settings
        self.eventLoop = eventLoop
        self.client = client
        self.pool = pool
        self.snapshots = snapshots
        self.metrics = metrics
        self.log = log
        self.sink = sink
    }

    /// The loop's clock, which is the host's monotonic one.
    var now: Instant { Instant(nanoseconds: eventLoop.now.uptimeNanoseconds) }

    var activeMembers: [MemberID: Instant] { active.withLock { $0 } }
    func setActive(_ member: MemberID, since: Instant?) { active.withLock { $0[member] = since } }
}
