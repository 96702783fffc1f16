/// Keys, revisions, watchers and the size of the data.
public struct MVCCMetrics: Sendable {
    public let ranges: Counter
    public let puts: Counter
    public let deletes: Counter
    public let transactions: Counter
    public let keys: Gauge
    public let watchStreams: Gauge
    public let watchers: Gauge
    public let slowWatchers: Gauge
    public let events: Counter
    public let pendingEvents: Gauge
    public let currentRevision: Gauge
    public let compactRevision: Gauge
    public let totalPutSize: Gauge
    public let databaseSize: Gauge
    public let databaseSizeInUse: Gauge
    public let openReadTransactions: Gauge
    /// In milliseconds.
    public let indexCompactionPause: Histogram
    /// In milliseconds.
    public let compactionPause: Histogram
    /// In milliseconds.
    public let compactionTotal: Histogram
    /// Seconds since 1970.
    public let lastCompaction: Gauge
    public let compactedKeys: Counter
    public let hashDuration: Histogram
    public let hashByRevisionDuration: Histogram

    init(_ registry: MetricsRegistry) {
        ranges = registry.counter("etcd_mvcc_range_total", "Total number of ranges seen by this member.")
        puts = registry.counter("etcd_mvcc_put_total", "Total number of puts seen by this member.")
        deletes = registry.counter("etcd_mvcc_delete_total", "Total number of deletes seen by this member.")
        transactions = registry.counter("etcd_mvcc_txn_total", "Total number of txns seen by this member.")
        keys = registry.gauge("etcd_debugging_mvcc_keys_total", "Total number of keys.")
        watchStreams = registry.gauge("etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.")
        watchers = registry.gauge("etcd_debugging_mvcc_watcher_total", "Total number of watchers.")
        slowWatchers = registry.gauge("etcd_debugging_mvcc_slow_watcher_total", "Total number of unsynced slow watchers.")
        events = registry.counter("etcd_debugging_mvcc_events_total", "Total number of events sent by this member.")
        pendingEvents = registry.gauge("etcd_debugging_mvcc_pending_events_total", "Total number of pending events to be sent.")
        currentRevision = registry.gauge("etcd_debugging_mvcc_current_revision", "The current revision of store.")
        compactRevision = registry.gauge(
            "etcd_debugging_mvcc_compact_revision", "The revision of the last compaction in store.")
        totalPutSize = registry.gauge(
            "etcd_debugging_mvcc_total_put_size_in_bytes", "The total size of put kv pairs seen by this member.")
        databaseSize = registry.gauge(
            "etcd_mvcc_db_total_size_in_bytes", "Total size of the underlying database physically allocated in bytes.")
        databaseSizeInUse = registry.gauge(
            "etcd_mvcc_db_total_size_in_use_in_bytes", "Total size of the underlying database logically in use in bytes.")
        openReadTransactions = registry.gauge(
            "etcd_mvcc_db_open_read_transactions", "The number of currently open read transactions")
        indexCompactionPause = registry.histogram(
            "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
            "Bucketed histogram of index compaction pause duration.",
            .exponential(from: 0.5, count: 14))
        compactionPause = registry.histogram(
            "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
            "Bucketed histogram of db compaction pause duration.",
            .exponential(from: 1, count: 13))
        compactionTotal = registry.histogram(
            "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
            "Bucketed histogram of db compaction total duration.",
            .exponential(from: 100, count: 14))
        lastCompaction = registry.gauge(
            "etcd_debugging_mvcc_db_compaction_last", "The unix time of the last db compaction. Resets to 0 on start.")
        compactedKeys = registry.counter("etcd_debugging_mvcc_db_compaction_keys_total", "Total number of db keys compacted.")
        hashDuration = registry.histogram(
            "etcd_mvcc_hash_duration_seconds", "The latency distribution of storage hash operation.",
            .exponential(from: 0.01, count: 15))
        hashByRevisionDuration = registry.histogram(
            "etcd_mvcc_hash_rev_duration_seconds", "The latency distribution of storage hash by revision operation.",
            .exponential(from: 0.01, count: 15))
        registerOlderName(registry)
        compactRevision.set(-1)
    }

    /// etcd 3.5 counts ranges under a second name.
    private func registerOlderName(_ registry: MetricsRegistry) {
        let family = registry.register(
            "etcd_debugging_mvcc_range_total", "Total number of ranges seen by this member.", .counter, labels: [])
        let ranges = self.ranges
        family.writer.withLock { $0 = { family, text in text.sample(family.name, "", Double(ranges.value)) } }
    }
}

/// The write-ahead log and the page file.
public struct DiskMetrics: Sendable {
    public let walFsync: Histogram
    public let walWrite: Histogram
    public let walWriteBytes: Gauge
    public let backendCommit: Histogram
    public let backendCommitRebalance: Histogram
    public let backendCommitSpill: Histogram
    public let backendCommitWrite: Histogram
    public let backendDefragmentation: Histogram
    public let backendSnapshot: Histogram
    public let defragmentationInFlight: Gauge

    init(_ registry: MetricsRegistry) {
        let milliseconds = HistogramBounds.exponential(from: 0.001, count: 14)
        walFsync = registry.histogram(
            "etcd_disk_wal_fsync_duration_seconds", "The latency distributions of fsync called by WAL.", milliseconds)
        walWrite = registry.histogram(
            "etcd_disk_wal_write_duration_seconds", "The latency distributions of write called by WAL.", milliseconds)
        walWriteBytes = registry.gauge("etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.")
        backendCommit = registry.histogram(
            "etcd_disk_backend_commit_duration_seconds", "The latency distributions of commit called by backend.", milliseconds)
        backendCommitRebalance = registry.histogram(
            "etcd_debugging_disk_backend_commit_rebalance_duration_seconds",
            "The latency distributions of commit.rebalance called by bboltdb backend.", milliseconds)
        backendCommitSpill = registry.histogram(
            "etcd_debugging_disk_backend_commit_spill_duration_seconds",
            "The latency distributions of commit.spill called by bboltdb backend.", milliseconds)
        backendCommitWrite = registry.histogram(
            "etcd_debugging_disk_backend_commit_write_duration_seconds",
            "The latency distributions of commit.write called by bboltdb backend.", milliseconds)
        backendDefragmentation = registry.histogram(
            "etcd_disk_backend_defrag_duration_seconds", "The latency distribution of backend defragmentation.",
            .exponential(from: 0.1, count: 13))
        backendSnapshot = registry.histogram(
            "etcd_disk_backend_snapshot_duration_seconds", "The latency distribution of backend snapshots.",
            .exponential(from: 0.01, count: 17))
        defragmentationInFlight = registry.gauge(
            "etcd_disk_defrag_inflight", "Whether or not defrag is active on the member. 1 means active, 0 means not.")
    }
}

/// Snapshot files.
public struct SnapshotMetrics: Sendable {
    public let saveMarshalling: Histogram
    public let saveTotal: Histogram
    public let fsync: Histogram
    public let databaseSaveTotal: Histogram
    public let databaseFsync: Histogram

    init(_ registry: MetricsRegistry) {
        let milliseconds = HistogramBounds.exponential(from: 0.001, count: 14)
        saveMarshalling = registry.histogram(
            "etcd_debugging_snap_save_marshalling_duration_seconds",
            "The marshalling cost distributions of save called by snapshot.", milliseconds)
        saveTotal = registry.histogram(
            "etcd_debugging_snap_save_total_duration_seconds",
            "The total latency distributions of save called by snapshot.", milliseconds)
        fsync = registry.histogram(
            "etcd_snap_fsync_duration_seconds", "The latency distributions of fsync called by snap.", milliseconds)
        databaseSaveTotal = registry.histogram(
            "etcd_snap_db_save_total_duration_seconds", "The total latency distributions of v3 snapshot save",
            .exponential(from: 0.1, count: 10))
        databaseFsync = registry.histogram(
            "etcd_snap_db_fsync_duration_seconds", "The latency distributions of fsyncing .snap.db file", milliseconds)
    }
}
