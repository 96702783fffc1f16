import EtcdAPI
import Member
import Raft
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
        case .leadership(let change): note(change)
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
        case .alarmRaised(let alarm): log.warn("alarm raised", alarm.logFields)
        case .alarmLifted(let alarm): log.warn("alarm disarmed", alarm.logFields)
        case .dataCompared(let revision, let compactRevision):
            metrics.server.dataComparisons.labelled("same").increment()
            log.info(
                "successfully checked hash on whole cluster",
                ["revision": .int(revision), "compactRevision": .int(compactRevision)])
        case .dataNotCompared(let revision, let members):
            metrics.server.dataComparisons.labelled("incomplete").increment()
            let ids = members.map(MemberIdentity.text).joined(separator: ",")
            log.warn(
                "skipped revision in compaction hash check; was not able to check all peers",
                ["revision": .int(revision), "peer-ids": .string(ids)])
        case .dataDiffers(let difference): note(difference)
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

    private func note(_ change: LeadershipChange) {
        metrics.server.hasLeader.set(change.leader != 0)
        metrics.server.isLeader.set(change.role == .leader)
        if change.leader != 0 { metrics.server.leaderChangesSeen.increment() }
        log.info(
            "raft state changed",
            [
                "local-member-id": .id(settings.memberID), "role": .string("\(change.role)"), "term": .int(change.term),
                "leader": .id(change.leader),
            ])
    }

    private func note(_ difference: DataDifference) {
        metrics.server.dataComparisons.labelled("different").increment()
        let verdict =
            switch difference.verdict {
            case .alarm: "it raises the CORRUPT alarm"
            case .onlyReported: "no alarm, as that member is not Quorate (--corrupt-alarm-against-etcd)"
            case .undecided: "no alarm, as no majority holds the same"
            }
        log.error(
            "found a member with other data",
            [
                "local-member-id": .id(settings.memberID), "peer-id": .id(difference.member),
                "revision": .int(difference.revision), "compact-revision": .int(difference.compactRevision),
                "hash": .int(difference.hash), "expected-hash": .int(difference.expected), "verdict": .string(verdict),
            ])
    }
}

extension AlarmMember {
    fileprivate var logFields: KeyValuePairs<String, LogValue> {
        ["alarm": alarm == .corrupt ? "CORRUPT" : "NOSPACE", "from": .id(memberID)]
    }
}
