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
    private let active = Mutex<[MemberID: PeerActivity]>([:])

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

    func activity(of member: MemberID) -> PeerActivity { active.withLock { $0[member] } ?? PeerActivity() }

    func setActive(_ member: MemberID, since: Instant?) {
        active.withLock {
            $0[member, default: PeerActivity()].since = since
            $0[member, default: PeerActivity()].changes += 1
        }
    }

    /// A stream from or to a peer is new.
    func streamOpened(_ member: MemberID) { active.withLock { $0[member, default: PeerActivity()].changes += 1 } }
}

/// Whether messages to and from a peer get through.
struct PeerActivity {
    /// Since when they do; nil while they do not.
    var since: Instant?
    /// Grows whenever the process at the other end may have become another one.
    var changes: UInt64 = 0
}
