import Raft
import Records
import Telemetry

/// The counters of one peer, looked up once.
struct PeerMetrics {
    let sentBytes: Counter
    let receivedBytes: Counter
    let sendFailures: Counter
    let receiveFailures: Counter
    let roundTrip: Histogram
    let active: Gauge
    let known: Gauge
    let disconnections: Counter
    let snapshotSends: Counter
    let snapshotSendsInFlight: Gauge
    let snapshotSendFailures: Counter
    let snapshotSendDuration: Histogram

    init(_ metrics: NetworkMetrics, local: MemberID, peer: MemberID) {
        let (local, peer) = (MemberIdentity.text(local), MemberIdentity.text(peer))
        sentBytes = metrics.peerBytesSent.labelled(peer)
        receivedBytes = metrics.peerBytesReceived.labelled(peer)
        sendFailures = metrics.peerSendFailures.labelled(peer)
        receiveFailures = metrics.peerReceiveFailures.labelled(peer)
        roundTrip = metrics.peerRoundTrip.labelled(peer)
        active = metrics.activePeers.labelled(local, peer)
        known = metrics.knownPeers.labelled(local, peer)
        disconnections = metrics.disconnectedPeers.labelled(local, peer)
        snapshotSends = metrics.snapshotSends.labelled(peer)
        snapshotSendsInFlight = metrics.snapshotSendsInFlight.labelled(peer)
        snapshotSendFailures = metrics.snapshotSendFailures.labelled(peer)
        snapshotSendDuration = metrics.snapshotSendDuration.labelled(peer)
    }
}
