import Bytes
import Configuration
import EtcdAPI
import Host
import Member
import Raft
import Records

/// What `quorate check` finds out about a data directory: what it holds, who could open it, and what a start would refuse.
///
/// Nothing is written: the start is rehearsed with the code of a real one, on a disk that keeps all changes in memory.
struct DirectoryCheck {
    /// Whether a release could open the directory.
    struct Verdict: Equatable {
        let release: String
        /// Empty where it could.
        var reasons: [String] = []
    }

    let directory: DataDirectory
    /// There is no log: a member that starts here is a new one.
    let isNew: Bool
    var pageFile: PageFileFacts?
    var log: LogFacts?
    /// As of the last entry known to be committed.
    var membership = MembershipRecord()
    var confState = ConfState()
    /// Why `quorate member` would not start, or would serve nobody.
    var refusals: [String] = []
    var notes: [String] = []

    /// As what `quorate member` is to be started.
    private let version: CompatibilityVersion

    init(
        _ directory: DataDirectory, on disk: any Disk, startedAs version: CompatibilityVersion = .automatic
    ) throws(CommandFailure) {
        self.directory = directory
        self.version = version
        let hasPageFile: Bool
        do throws(DiskError) {
            hasPageFile = try disk.exists(directory.pageFilePath)
            let files = try disk.exists(directory.walPath) ? disk.list(directory.walPath) : []
            isNew = !files.contains { $0.hasSuffix(".wal") }
        } catch {
            throw CommandFailure("\(error)")
        }
        guard hasPageFile || !isNew else { throw CommandFailure("\(directory.path) holds no data of a member") }
        if hasPageFile { readPageFile(disk) }
        guard !isNew else { return }
        do throws(CommandFailure) { log = try LogFacts(directory, on: RehearsalDisk(on: disk)) } catch {
            refusals.append(error.description)
        }
        notes += log?.notes ?? []
        if hasPageFile {
            rehearse(disk)
        } else {
            refusals.append("\(directory.pageFilePath) is missing, and there is a log")
        }
        if membership.members.isEmpty == false, let id = log?.memberID, membership.removed.contains(id) {
            refusals.append("this member was removed from the cluster")
        }
    }

    /// Somebody has the directory open; nothing can be said of it then.
    var isInUse = false

    private mutating func readPageFile(_ disk: any Disk) {
        do throws(CommandFailure) {
            let facts = try PageFileFacts(directory.pageFilePath, on: disk)
            pageFile = facts
            if !facts.unknownBuckets.isEmpty {
                notes.append("buckets that no etcd from 3.4 to 3.7 knows: \(facts.unknownBuckets.joined(separator: ", "))")
            }
        } catch {
            isInUse = error.exitCode == CheckCommand.inUse
            refusals.append(error.description)
        }
    }

    // MARK: the start

    private mutating func rehearse(_ disk: any Disk) {
        guard pageFile != nil, log != nil else { return }
        var settings = MemberSettings(memberID: 0, clusterID: 0, name: "", clientURLs: [], seed: 1)
        settings.followsDirectory = version == .automatic
        if let release = try? ClusterVersion(parsing: version.etcdVersion) { settings.behavesAs = release }
        var opening = MemberOpening(
            settings: settings, disk: RehearsalDisk(on: disk), directory: directory, initialMembers: [], salt: 0)
        opening.pageFileOptions.isReadOnly = true
        do throws(MemberFailure) {
            let opened = try opening.open()
            for notice in opened.notices { note(notice) }
            let start = Instant(nanoseconds: 0)
            let member = try Member(opened, now: start)
            let output = try member.turn(Inbox(), now: start)
            confState = member.confState
            membership = output.published?.status.membership ?? membership
            if output.published?.status.isAuthenticationEnabled == true { refuseAuthentication() }
        } catch {
            if case .locked = error { isInUse = true }
            refusals.append("\(error)")
        }
    }

    private mutating func note(_ notice: OpenedMember.Notice) {
        switch notice {
        case .authenticationEnabled: refuseAuthentication()
        case .adoptedDatabase(let index): notes.append("a start takes over the database received with the snapshot at \(index)")
        case .created, .restarted, .tornTail, .brokenSnapshot: break
        }
    }

    private mutating func refuseAuthentication() {
        let text = "authentication is enabled, which this release does not enforce: it would serve no client"
        if !refusals.contains(text) { refusals.append(text) }
    }

    // MARK: versions

    /// What the cluster last agreed on, nil where nobody has said so yet.
    var clusterVersion: ClusterVersion? {
        if let version = membership.clusterVersion { return version }
        return [pageFile?.clusterVersion, log?.clusterVersion].compactMap(\.self).lazy
            .compactMap { try? ClusterVersion(parsing: $0) }.first
    }

    /// By cluster version, storage version and what the log holds after its newest snapshot. Sources: `MustDetectDowngrade`,
    /// `schema.Validate`, `AssertNoV2StoreContent`, and how each release reads entries.
    var verdicts: [Verdict] {
        [5, 6, 7].map { minor in
            var verdict = Verdict(release: "3.\(minor)")
            verdict.reasons = refusalsOfEtcd(minor)
            return verdict
        }
    }

    private func refusalsOfEtcd(_ minor: Int) -> [String] {
        guard pageFile != nil, isNew || log != nil else { return ["the directory is damaged"] }
        var reasons: [String] = []
        let release = ClusterVersion(3, minor)
        if let cluster = clusterVersion {
            if cluster > ClusterVersion(3, minor, 99), pageFile?.downgradeTarget.map({ $0 != release.description }) ?? true {
                reasons.append("the cluster is of version \(cluster)")
            }
            if cluster >= ClusterVersion(3, 0, 1), cluster < ClusterVersion(3, minor - 1) {
                reasons.append("the cluster is of version \(cluster), and etcd is upgraded one release at a time")
            }
        }
        if let text = pageFile?.storageVersion, let storage = try? ClusterVersion(parsing: text),
            storage > ClusterVersion(3, minor, 99), minor >= 6
        {
            reasons.append("the storage is of version \(text)")
        }
        if minor >= 6, let log, log.v2Keys + log.entries.userV2 > 0 {
            reasons.append("users have stored keys through the v2 API")
        }
        if minor >= 7, let count = log?.entries.bareV2, count > 0 {
            reasons.append("\(count) entries after the newest snapshot are requests of the v2 API")
        }
        if let fields = log?.entries.unknownFields, !fields.isEmpty {
            reasons.append("entries hold requests of unknown kinds: fields \(fields.map(String.init).joined(separator: ", "))")
        }
        return reasons
    }

    var isJoint: Bool { !confState.votersOutgoing.isEmpty || log?.confState.votersOutgoing.isEmpty == false }
}
