/// Rows about this member itself.
enum MemberSettings {
    static var rows: [Setting] { basics + backend + connections }

    private static var basics: [Setting] {
        [
            Setting("name", .member, .text(\.name), .all, "Name of this member; every member needs its own."),
            Setting(
                "data-dir", .member, .text(\.dataDirectory), .all, default: "${name}.etcd",
                "Directory that holds the member's data."),
            Setting(
                "wal-dir", .member, .text(\.walDirectory), .all,
                "Directory of the write-ahead log, when it lives on a disk of its own."),
            Setting(
                "config-file", .member, .text(\.configurationFile), .all, file: [],
                "Read the configuration from this YAML file; all other flags and all environment variables are then ignored."),
            Setting(
                "snapshot-count", .member, .optionalUnsigned(\.snapshotCount), .all,
                default: "10000, behaving as etcd 3.5: 100000",
                "Applied entries between two snapshots."),
            Setting(
                "snapshot-catchup-entries", .member, .unsigned(\.snapshotCatchUpEntries), .since36,
                "Log entries kept behind a snapshot for followers that lag."),
            Setting(
                "heartbeat-interval", .member, .unsigned(\.heartbeatMilliseconds), .all,
                "Milliseconds between two heartbeats of the leader."),
            Setting(
                "election-timeout", .member, .unsigned(\.electionMilliseconds), .all,
                "Milliseconds without a leader before an election; at least 5 heartbeats, at most 50000."),
            Setting(
                "initial-election-tick-advance", .member, .truth(\.initialElectionTickAdvance), .all,
                "Shorten the first election timeout after start."),
            Setting(
                "max-snapshots", .member, .unsigned(\.maxSnapshotFiles), .all,
                "Snapshot files to keep; 0 keeps all. Deprecated in etcd 3.6."),
            Setting("max-wals", .member, .unsigned(\.maxWALFiles), .all, "Closed write-ahead log files to keep; 0 keeps all."),
            Setting(
                "max-txn-ops", .member, .unsigned(\.maxTransactionOperations), .all, "Operations that one transaction may have."),
            Setting(
                "max-request-bytes", .member, .unsigned(\.maxRequestBytes), .all,
                "Size in bytes that a client's request may have."),
        ]
    }

    private static var backend: [Setting] {
        [
            Setting(
                "quota-backend-bytes", .member, .signed(\.quotaBackendBytes), .all,
                "Bytes the stored data may take before only reads and deletes are served; 0 means 2 GiB, negative means no limit."
            ),
            Setting(
                "backend-bbolt-freelist-type", .member, .text(\.freeListType, allowed: "\"array\" or \"map\""), .since35,
                .acceptedWithoutEffect("the free list of the page file has one form"),
                "How etcd keeps the list of free pages in memory."),
            Setting(
                "backend-batch-interval", .member, .duration(\.backendBatchInterval), .all, default: "100ms",
                "Longest time before applied changes are written to the page file."),
            Setting(
                "backend-batch-limit", .member, .signed(\.backendBatchLimit), .all, default: "10000",
                "Applied changes after which they are written to the page file."),
            Setting(
                "memory-mlock", .member, .truth(\.memoryLock), .since36, Support.memoryLock,
                "Keep the member's memory from being swapped."),
            Setting(
                "feature-gates", .member, .featureGates, .since36, "Switch features by name, as NAME=true,OTHER=false."),
        ]
    }

    private static var connections: [Setting] {
        [
            Setting(
                "listen-peer-urls", .member, .urls(\.listenPeerURLs), .all, "URLs on which other members reach this one."),
            Setting(
                "listen-client-urls", .member, .urls(\.listenClientURLs), .all,
                "URLs for clients: gRPC, and HTTP too unless --listen-client-http-urls is given."),
            Setting(
                "listen-client-http-urls", .member, .urls(\.listenClientHTTPURLs), .all,
                "URLs for HTTP clients alone; gRPC then has --listen-client-urls to itself."),
            Setting(
                "max-concurrent-streams", .member, .unsigned(\.maxConcurrentStreams, bits: 32), .all,
                "Streams that a client may have open on one connection."),
            Setting("enable-grpc-gateway", .member, .truth(\.enableGRPCGateway), .all, "Serve the API as JSON over HTTP too."),
            Setting(
                "grpc-keepalive-min-time", .member, .duration(\.keepAliveMinimumTime), .all,
                "Clients that ping more often than this are disconnected."),
            Setting(
                "grpc-keepalive-interval", .member, .duration(\.keepAliveInterval), .all,
                "Idle time after which a client's connection is pinged; 0 turns this off."),
            Setting(
                "grpc-keepalive-timeout", .member, .duration(\.keepAliveTimeout), .all,
                "How long the answer to such a ping may take."),
            Setting(
                "socket-reuse-port", .member, .truth(\.socketReusePort), .since35, file: ["socket-options/reuse-port"],
                "Set SO_REUSEPORT on listeners."),
            Setting(
                "socket-reuse-address", .member, .truth(\.socketReuseAddress), .since35, file: ["socket-options/reuse-address"],
                "Set SO_REUSEADDR on listeners."),
            Setting(
                "raft-read-timeout", .member, .duration(\.raftReadTimeout), .since35, file: [],
                "Read timeout of connections between members, at least 5s."),
            Setting(
                "raft-write-timeout", .member, .duration(\.raftWriteTimeout), .since35, file: [],
                "Write timeout of connections between members, at least 5s."),
        ]
    }
}
