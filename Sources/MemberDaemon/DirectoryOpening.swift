import Configuration
import Host
import LinuxHost
import Member
import PageStore
import Records
import Telemetry
import WAL

extension MemberDaemon {
    /// Opens or makes the data directory the configuration names.
    func openDirectory(_ network: PeerNetwork) throws(MemberFailure) -> OpenedMember {
        let disk = ObservedDisk(LinuxDisk(), metrics)
        let walPath = configuration.walDirectory.isEmpty ? nil : configuration.walDirectory
        let directory = DataDirectory(configuration.dataDirectory, walPath: walPath)
        let first = try firstStart(of: directory, on: disk, network)
        joins(first.remotes)
        var settings = settings(memberID: first.memberID, clusterID: first.clusterID)
        settings.joinsAsLearner = first.remotes.first { $0.id == first.memberID }?.isLearner ?? false
        if let version = first.behavesAs { settings.behavesAs = MemberSettings.release(of: version) }
        var opening = MemberOpening(
            settings: settings, disk: disk, directory: directory, initialMembers: first.founders,
            salt: SystemRandom.number())
        opening.pageFileOptions.commitMeter = commitMeter
        opening.syncs = !configuration.unsafeNoFsync
        opening.forcesNewCluster = configuration.forceNewCluster
        let log = log
        var segment = 0
        opening.progress = { [self] step in
            report(step)
            switch step {
            case .replayed(let progress):
                let fields: KeyValuePairs<String, LogValue> = [
                    "segment": .int(progress.segment), "segments": .int(progress.segments), "offset": .int(progress.offset),
                ]
                // A line for each 64 MB tells an operator how far a long start is.
                if progress.segment == segment {
                    log.debug("reading the write-ahead log", fields)
                } else {
                    log.info("reading the write-ahead log", fields)
                }
                segment = progress.segment
            case .indexed(let count): log.info("restoring the key index", ["revisions": .int(count)])
            }
        }
        notifier.post(.progress("opening \(configuration.dataDirectory)"))
        TestHooks.replaySlowly { part, parts in
            notifier.post(.progress("reading the write-ahead log slowly, for a test: \(part) of \(parts)"))
        }
        let began = SystemClock.now()
        let opened = try opening.open()
        for notice in opened.notices { note(notice, opened.settings, since: began) }
        return opened
    }

    private var commitMeter: CommitMeter {
        let disk = metrics.disk
        return CommitMeter(now: { SystemClock.now().nanoseconds }) { times in
            disk.backendCommit.observe(Double(times.total) * 1e-9)
            disk.backendCommitRebalance.observe(Double(times.rebalance) * 1e-9)
            disk.backendCommitSpill.observe(Double(times.spill) * 1e-9)
            disk.backendCommitWrite.observe(Double(times.write) * 1e-9)
        }
    }

    private func settings(memberID: UInt64, clusterID: UInt64) -> MemberSettings {
        var settings = MemberSettings(
            memberID: memberID, clusterID: clusterID, name: configuration.name,
            clientURLs: configuration.advertiseClientURLs.map(\.description), seed: SystemRandom.number())
        let behaves = configuration.compatibilityVersion.etcdVersion.split(separator: ".").compactMap { Int($0) }
        settings.behavesAs = ClusterVersion(behaves[0], behaves[1], behaves[2])
        settings.followsDirectory = configuration.compatibilityVersion == .automatic
        settings.heartbeatInterval = .milliseconds(Int64(configuration.heartbeatMilliseconds))
        settings.electionTimeout = .milliseconds(Int64(configuration.electionMilliseconds))
        settings.preVote = configuration.preVote
        settings.advancesInitialElection = configuration.initialElectionTickAdvance
        settings.snapshotCount = configuration.effectiveSnapshotCount(behavingAs: configuration.compatibilityVersion)
        settings.catchUpEntries = configuration.snapshotCatchUpEntries
        settings.meter = MemberMeasuring(metrics, log, slowApply: configuration.warningApplyDuration)
        settings.quota = configuration.effectiveQuotaBytes
        settings.commitInterval = Instant.Span(configuration.effectiveBackendBatchInterval)
        settings.commitChanges = Int(configuration.effectiveBackendBatchLimit)
        settings.maximumSnapshotFiles = configuration.maxSnapshotFiles == 0 ? .max : Int(configuration.maxSnapshotFiles)
        settings.maximumSegments = configuration.maxWALFiles == 0 ? .max : Int(configuration.maxWALFiles)
        settings.liftsNoSpace = configuration.nospaceAutoDisarm
        settings.strictReconfiguration = configuration.strictReconfigurationCheck
        if configuration.featureGates.isEnabled(.compactHashCheck) {
            settings.corruption.compactionInterval = Instant.Span(configuration.compactHashCheckTime)
        }
        if configuration.corruptCheckTime > .zero {
            settings.corruption.scanInterval = Instant.Span(configuration.corruptCheckTime)
        }
        settings.corruption.alarmsAgainstEtcd = configuration.corruptAlarmAgainstEtcd
        settings.learnerLimit = Int(configuration.maxLearners)
        switch configuration.autoCompaction {
        case .periodic(let retention): settings.autoCompaction = .periodic(Instant.Span(retention))
        case .revisions(let count): settings.autoCompaction = .revisions(count)
        case nil: settings.autoCompaction = .off
        }
        return settings
    }

    private func note(_ notice: OpenedMember.Notice, _ settings: MemberSettings, since began: Instant) {
        let took = LogValue.string("\(Int((SystemClock.now() - began).seconds * 1000))ms")
        switch notice {
        case .created:
            log.info(
                "starting local member",
                ["local-member-id": .id(settings.memberID), "cluster-id": .id(settings.clusterID), "took": took])
        case .restarted(let commit, let snapshot):
            log.info(
                "restarting local member",
                [
                    "cluster-id": .id(settings.clusterID), "local-member-id": .id(settings.memberID),
                    "commit-index": .int(commit),
                    "snapshot-index": .int(snapshot), "took": took,
                ])
        case .tornTail(let file, let offset):
            log.warn("removed a record that a crash had cut off", ["file": .string(file), "offset": .int(offset)])
        case .brokenSnapshot(let file, let reason):
            log.warn("set a broken snapshot file aside", ["file": .string(file), "reason": .string(reason)])
        case .adoptedDatabase(let index):
            log.info("took over the database of a received snapshot", ["snapshot-index": .int(index)])
        case .authenticationEnabled:
            log.error(
                "authentication is enabled: this release serves no client until it is disabled, and takes part in the cluster",
                [:])
        }
    }
}
