/// Values that follow from what was given: defaults behind a zero, and texts read further. Sources: `server/etcdserver` and
/// `server/storage` of etcd 3.5 to 3.7.
extension MemberConfiguration {
    public var heartbeatInterval: Duration { .milliseconds(Int64(clamping: heartbeatMilliseconds)) }
    public var electionTimeout: Duration { .milliseconds(Int64(clamping: heartbeatMilliseconds)) * electionTicks }
    /// Heartbeats in an election timeout, rounded down as in etcd.
    public var electionTicks: Int { Int(electionMilliseconds / heartbeatMilliseconds) }
    /// How long a request may take from proposal to answer: five seconds and two election timeouts.
    public var requestTimeout: Duration { .seconds(5) + electionTimeout * 2 }

    /// Applied entries between two snapshots: what the operator chose, else 100,000 up to etcd 3.5 and 10,000 from 3.6.
    public func effectiveSnapshotCount(behavingAs version: CompatibilityVersion) -> UInt64 {
        snapshotCount ?? (version == .v35 ? 100_000 : 10_000)
    }

    /// Bytes that the backend may use before the NOSPACE alarm, or nil for no quota. 2 GiB unless chosen.
    public var effectiveQuotaBytes: Int64? {
        if quotaBackendBytes < 0 { return nil }
        return quotaBackendBytes == 0 ? Self.defaultQuotaBytes : quotaBackendBytes
    }

    static let defaultQuotaBytes: Int64 = 2 << 30
    /// Above this etcd warns: recovery and defragmentation take long.
    static let suggestedMaximumQuotaBytes: Int64 = 8 << 30

    public var effectiveBackendBatchInterval: Duration {
        backendBatchInterval == .zero ? .milliseconds(100) : backendBatchInterval
    }

    public var effectiveBackendBatchLimit: Int {
        backendBatchLimit == 0 ? 10_000 : Int(clamping: backendBatchLimit)
    }

    public var effectiveCompactionBatchLimit: Int {
        compactionBatchLimit == 0 ? 1_000 : Int(clamping: compactionBatchLimit)
    }

    public var effectiveCompactionSleepInterval: Duration {
        compactionSleepInterval == .zero ? .milliseconds(10) : compactionSleepInterval
    }

    public var effectiveWatchProgressNotifyInterval: Duration {
        watchProgressNotifyInterval == .zero ? .seconds(600) : watchProgressNotifyInterval
    }

    /// The first address among the advertised peer URLs by which other machines can reach this one: what feature gate
    /// SetMemberLocalAddr lets connections to other members come from.
    public var memberLocalAddress: String? {
        initialAdvertisePeerURLs.map(\.host).first { host in
            isAddress(host) && !host.hasPrefix("127.") && !["::1", "0.0.0.0", "::"].contains(host)
        }
    }

    /// Directory of the write-ahead log.
    public var effectiveWALDirectory: String {
        walDirectory.isEmpty ? dataDirectory + "/member/wal" : walDirectory
    }

    /// When old revisions are compacted by the member itself, or nil when they are not.
    public var autoCompaction: AutoCompaction? {
        // Validation has read the same texts: they cannot fail here.
        try? AutoCompaction.parse(mode: autoCompactionMode, retention: autoCompactionRetention)
    }

    /// How the log file is rotated, or nil when it is not.
    public var logRotation: LogRotation? {
        logging.enableRotation ? try? LogRotation.parse(logging.rotationJSON) : nil
    }

    /// Whether the operator set this, by whatever name and means. `setting` is a flag's name without dashes.
    public func wasSet(_ setting: String) -> Bool { explicitSettings.contains(setting) }
}

/// Compaction by the member itself.
public enum AutoCompaction: Sendable, Equatable {
    /// Keep the revisions of this much time.
    case periodic(Duration)
    /// Keep this many revisions.
    case revisions(Int64)

    /// A bare number means hours in `periodic` mode and revisions in `revision` mode; otherwise a duration with units. In
    /// `revision` mode etcd takes a duration's nanoseconds for revisions, which nobody means: refused here. Zero turns compaction
    /// off.
    static func parse(mode: String, retention: String) throws(ValueProblem) -> AutoCompaction? {
        let text = retention.isEmpty ? "0" : retention
        let isNumber = text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        if isNumber {
            guard let number = Int64(text) else { throw .range }
            if mode == "revision" { return number == 0 ? nil : .revisions(number) }
            guard number <= Int64.max / 3_600_000_000_000 else { throw .range }
            return number == 0 ? nil : .periodic(.seconds(number * 3_600))
        }
        guard mode != "revision" else {
            throw ValueProblem(reason: "\(goQuoted(text)) is not a number of revisions")
        }
        let nanoseconds = try DurationText.nanoseconds(text)
        guard nanoseconds >= 0 else { throw ValueProblem(reason: "\(goQuoted(text)) is negative") }
        return nanoseconds == 0 ? nil : .periodic(.nanoseconds(nanoseconds))
    }
}
