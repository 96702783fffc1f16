import EtcdAPI
import Member
import Records
import Telemetry

/// Tells people and metrics what happened, in the words that tools wait for.
struct MemberEventLog {
    let log: Log
    let metrics: MemberMetrics
    let settings: MemberSettings
    let clusterVersion: String

    func note(_ event: MemberEvent) {
        let id = LogValue.id(settings.memberID)
        switch event {
        case .leadership(let change):
            metrics.server.hasLeader.set(change.leader != 0)
            metrics.server.isLeader.set(change.role == .leader)
            if change.leader != 0 { metrics.server.leaderChangesSeen.increment() }
            log.info(
                "raft state changed",
                [
                    "local-member-id": id, "role": .string("\(change.role)"), "term": .int(change.term),
                    "leader": .id(change.leader),
                ])
        case .ready:
            log.info(
                "published local member to cluster through raft",
                ["local-member-id": id, "cluster-id": .id(settings.clusterID), "local-member-attributes": .string(settings.name)])
            log.info("ready to serve client requests", [:])
        case .clusterVersion(let version):
            let text = version.map { "\($0.major).\($0.minor)" } ?? "not decided"
            metrics.server.clusterVersion.labelled(text).set(1)
            log.info(
                "set initial cluster version",
                ["cluster-id": .id(settings.clusterID), "local-member-id": id, "cluster-version": .string(text)])
        case .membershipChanged: log.info("membership changed", ["local-member-id": id])
        case .authenticationSwitched(let isOn):
            if isOn {
                log.error(
                    "authentication was enabled: this release serves no client until it is disabled, and goes on in the cluster",
                    ["local-member-id": id])
            } else {
                log.info("authentication was disabled: clients are served again", ["local-member-id": id])
            }
        case .snapshotSaved(let index): log.info("saved snapshot", ["snapshot-index": .int(index)])
        case .logCompacted(let index): log.debug("compacted Raft logs", ["compact-index": .int(index)])
        case .compactionFinished(let revision):
            metrics.mvcc.compactRevision.set(revision)
            log.info("finished scheduled compaction", ["compact-revision": .int(revision)])
        case .alarmRaised: log.warn("alarm raised", ["local-member-id": id, "alarm": "NOSPACE"])
        case .snapshotReceived(let index):
            log.info("received a snapshot from the leader", ["snapshot-index": .int(index)])
        case .snapshotInstalled(let index): log.info("applied snapshot", ["snapshot-index": .int(index)])
        case .snapshotSent(let member, let index):
            log.info("sending merged snapshot", ["local-member-id": id, "to": .id(member), "snapshot-index": .int(index)])
        case .stalled(let span):
            log.error(
                "stood still for longer than an election timeout and gave up leadership",
                ["local-member-id": id, "took": .string("\(Int(span.seconds * 1000))ms")])
        case .removed: log.error("the member has been permanently removed from the cluster", ["local-member-id": id])
        }
    }
}
