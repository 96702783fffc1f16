import Synchronization

/// One gRPC method in the metrics. Its position in the list given to ``GRPCServerMetrics`` is its index.
public struct GRPCMethod: Sendable, Hashable {
    public enum Kind: String, Sendable {
        case unary
        case clientStream = "client_stream"
        case serverStream = "server_stream"
        case bidirectionalStream = "bidi_stream"
    }

    /// `etcdserverpb.KV`
    public let service: String
    /// `Range`
    public let name: String
    public let kind: Kind

    public init(_ service: String, _ name: String, _ kind: Kind = .unary) {
        self.service = service
        self.name = name
        self.kind = kind
    }
}

/// What the server did per gRPC method: the metrics of Go's go-grpc-prometheus, all present from the start with zero.
///
/// Each thread that serves requests takes a shard of its own and is the only one to write to it. So counting is one load, one add
/// and one store at a position that follows from the method's index, without locked instructions; a scrape adds the shards up.
public final class GRPCServerMetrics: Sendable {
    public let methods: [GRPCMethod]
    private let shards: [GRPCServerShard]
    /// Labels of the methods, in the order in which they are written.
    private let rows: [(labels: String, method: Int)]

    /// Names of gRPC's status codes by their numbers, as Go writes them.
    static let codeNames = [
        "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
        "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ]

    /// Go's default buckets.
    static let handlingBounds = HistogramBounds([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])

    /// - Parameters:
    ///   - shards: threads that will serve requests.
    ///   - withHandlingTime: `--metrics=extensive`: a histogram per method of how long requests took.
    public init(_ registry: MetricsRegistry, methods: [GRPCMethod], shards: Int, withHandlingTime: Bool) {
        self.methods = methods
        self.shards = (0..<max(1, shards)).map { _ in
            GRPCServerShard(methodCount: methods.count, withHandlingTime: withHandlingTime)
        }
        // Labels are in alphabetical order already: code, method, service, type.
        rows = methods.indices.map { index in
            let method = methods[index]
            let labels = "grpc_method=\"\(method.name)\",grpc_service=\"\(method.service)\",grpc_type=\"\(method.kind.rawValue)\""
            return (labels, index)
        }.sorted { $0.labels.utf8.lexicographicallyPrecedes($1.labels.utf8) }
        let labels = ["grpc_method", "grpc_service", "grpc_type"]
        registerPlain(
            registry, "grpc_server_started_total", "Total number of RPCs started on the server.", labels, GRPCServerShard.started)
        registerPlain(
            registry, "grpc_server_msg_received_total", "Total number of RPC stream messages received on the server.", labels,
            GRPCServerShard.received)
        registerPlain(
            registry, "grpc_server_msg_sent_total", "Total number of gRPC stream messages sent by the server.", labels,
            GRPCServerShard.sent)
        registerBytes(
            registry, "etcd_network_client_grpc_received_bytes_total", "The total number of bytes received from grpc clients.",
            GRPCServerShard.receivedBytes)
        registerBytes(
            registry, "etcd_network_client_grpc_sent_bytes_total", "The total number of bytes sent to grpc clients.",
            GRPCServerShard.sentBytes)
        registerHandled(registry, labels)
        if withHandlingTime { registerHandlingTime(registry, labels) }
    }

    /// The shard of one thread.
    /// Calls of all methods on all threads.
    public var callsStarted: UInt64 { methods.indices.reduce(0) { $0 &+ total($1, GRPCServerShard.started) } }

    public func shard(_ index: Int) -> GRPCServerShard { shards[index] }

    private func registerPlain(
        _ registry: MetricsRegistry, _ name: String, _ help: String, _ labels: [String], _ offset: Int
    ) {
        let family = registry.register(name, help, .counter, labels: labels)
        family.writer.withLock { writer in
            writer = { [self] family, text in
                for row in rows { text.sample(family.name, row.labels, Double(total(row.method, offset))) }
            }
        }
    }

    /// One count for all methods: bytes of messages, without gRPC's prefix.
    private func registerBytes(_ registry: MetricsRegistry, _ name: String, _ help: String, _ offset: Int) {
        let family = registry.register(name, help, .counter, labels: [])
        family.writer.withLock { writer in
            writer = { [self] family, text in
                let sum = methods.indices.reduce(0 as UInt64) { $0 &+ total($1, offset) }
                text.sample(family.name, "", Double(sum))
            }
        }
    }

    private func registerHandled(_ registry: MetricsRegistry, _ labels: [String]) {
        let name = "grpc_server_handled_total"
        let help = "Total number of RPCs completed on the server, regardless of success or failure."
        let family = registry.register(name, help, .counter, labels: ["grpc_code"] + labels)
        family.writer.withLock { writer in
            writer = { [self] family, text in
                for code in Self.codeNames.indices.sorted(by: { Self.codeNames[$0] < Self.codeNames[$1] }) {
                    let prefix = "grpc_code=\"\(Self.codeNames[code])\","
                    for row in rows {
                        let count = total(row.method, GRPCServerShard.firstCode + code)
                        text.sample(family.name, prefix, row.labels, "", Double(count))
                    }
                }
            }
        }
    }

    private func registerHandlingTime(_ registry: MetricsRegistry, _ labels: [String]) {
        let name = "grpc_server_handling_seconds"
        let help = "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server."
        let family = registry.register(name, help, .histogram(Self.handlingBounds), labels: labels)
        family.writer.withLock { writer in
            writer = { [self] family, text in
                for row in rows { text.histogram(family.name, row.labels, Self.handlingBounds, handlingTime(row.method)) }
            }
        }
    }

    private func total(_ method: Int, _ offset: Int) -> UInt64 {
        shards.reduce(0) { $0 &+ $1.value(method, offset) }
    }

    /// The shards' histograms of one method added up.
    private func handlingTime(_ method: Int) -> HistogramTotals {
        var totals = HistogramTotals(boundCount: Self.handlingBounds.count)
        for shard in shards { shard.addHandlingTime(method, to: &totals) }
        return totals
    }
}

/// One thread's counts. All methods take a method's index.
public struct GRPCServerShard: @unchecked Sendable {
    // Unchecked because of the pointers: they lead to atomics in memory that is never freed. Atomics, because a scrape reads them
    // while the one writing thread goes on; only that thread stores, so its load, add and store cannot lose a count.
    @usableFromInline let cells: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let times: UnsafeMutablePointer<Atomic<UInt64>>?
    @usableFromInline let bounds: UnsafePointer<Double>
    @usableFromInline let methodCount: Int

    static let started = 0
    static let received = 1
    static let sent = 2
    static let firstCode = 3
    static let receivedBytes = 20
    static let sentBytes = 21
    /// Cells per method: three counters, seventeen codes, two counts of bytes, and unused ones up to three cache lines.
    @usableFromInline static let stride = 24
    /// Cells per method for the handling time: eleven bounds, one count for larger values, the sum.
    @usableFromInline static let timeStride = 16
    @usableFromInline static let boundCount = 11

    init(methodCount: Int, withHandlingTime: Bool) {
        self.methodCount = methodCount
        cells = MetricCells.allocate(max(1, methodCount) * Self.stride)
        times = withHandlingTime ? MetricCells.allocate(max(1, methodCount) * Self.timeStride) : nil
        bounds = GRPCServerMetrics.handlingBounds.pointer
    }

    @inlinable public func started(_ method: Int) { add(method, 0) }

    /// Also for the one message of a unary request.
    @inlinable public func received(_ method: Int, bytes: Int) {
        add(method, 1)
        add(method, 20, UInt64(bytes))
    }

    /// Also for the one message of a unary answer.
    @inlinable public func sent(_ method: Int, bytes: Int) {
        add(method, 2)
        add(method, 21, UInt64(bytes))
    }

    /// Whether ``took(_:seconds:)`` has an effect.
    public var keepsTimes: Bool { times != nil }

    /// The request is answered. Codes beyond gRPC's seventeen count as Unknown.
    @inlinable public func handled(_ method: Int, code: Int) { add(method, 3 + (code >= 0 && code < 17 ? code : 2)) }

    /// How long the request took; without effect unless handling times are kept.
    @inlinable public func took(_ method: Int, seconds: Double) {
        guard let times else { return }
        precondition(method >= 0 && method < methodCount, "no such gRPC method")
        let cells = times + method * Self.timeStride
        var index = 0
        while index < Self.boundCount, seconds > bounds[index] { index += 1 }
        bump(cells + index, 1)
        let sum = cells + (Self.boundCount + 1)
        sum.pointee.store((Double(bitPattern: sum.pointee.load(ordering: .relaxed)) + seconds).bitPattern, ordering: .relaxed)
    }

    @inlinable func add(_ method: Int, _ offset: Int, _ amount: UInt64 = 1) {
        precondition(method >= 0 && method < methodCount, "no such gRPC method")
        bump(cells + (method * Self.stride + offset), amount)
    }

    @inlinable func bump(_ cell: UnsafeMutablePointer<Atomic<UInt64>>, _ amount: UInt64) {
        cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    func value(_ method: Int, _ offset: Int) -> UInt64 { cells[method * Self.stride + offset].load(ordering: .relaxed) }

    func addHandlingTime(_ method: Int, to totals: inout HistogramTotals) {
        guard let times else { return }
        let cells = times + method * Self.timeStride
        for index in 0...Self.boundCount { totals.counts[index] &+= cells[index].load(ordering: .relaxed) }
        totals.sum += Double(bitPattern: cells[Self.boundCount + 1].load(ordering: .relaxed))
    }
}
