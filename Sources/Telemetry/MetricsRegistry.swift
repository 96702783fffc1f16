import Synchronization

/// The metrics of one process. Everything is registered at start; `render` writes the Prometheus text format, sorted as Go's
/// client sorts it. A name is registered once.
public final class MetricsRegistry: Sendable {
    private let families = Mutex<[String: MetricFamily]>([:])

    public init() {}

    public func counter(_ name: String, _ help: String) -> Counter {
        let family = register(name, help, .counter, labels: [])
        return Counter(cell: family.scalar([]))
    }

    public func gauge(_ name: String, _ help: String) -> Gauge {
        let family = register(name, help, .gauge, labels: [])
        return Gauge(cell: family.scalar([]))
    }

    public func histogram(_ name: String, _ help: String, _ bounds: HistogramBounds) -> Histogram {
        let family = register(name, help, .histogram(bounds), labels: [])
        return family.histogram([], bounds)
    }

    /// A gauge whose value is asked for at each scrape, on the scraping thread.
    public func gauge(_ name: String, _ help: String, read: @escaping @Sendable () -> Double) {
        register(name, help, .gauge, labels: []).readers.withLock { $0.append(MetricFamily.Reader(labelValues: [], read: read)) }
    }

    /// Counters of one name, told apart by the values of `labels`.
    public func counters(_ name: String, _ help: String, labels: [String]) -> CounterFamily {
        CounterFamily(family: register(name, help, .counter, labels: labels))
    }

    public func gauges(_ name: String, _ help: String, labels: [String]) -> GaugeFamily {
        GaugeFamily(family: register(name, help, .gauge, labels: labels))
    }

    public func histograms(_ name: String, _ help: String, labels: [String], _ bounds: HistogramBounds) -> HistogramFamily {
        HistogramFamily(family: register(name, help, .histogram(bounds), labels: labels), bounds: bounds)
    }

    /// Metrics without labels that are read together at each scrape, because they come from the same place. Values are in the
    /// order of `metrics`; nil leaves all of them out of that scrape.
    func readTogether(
        _ metrics: [(name: String, help: String, kind: MetricKind)], read: @escaping @Sendable () -> [Double]?
    ) {
        let group = MetricFamily.ReaderGroup(read: read)
        for (index, metric) in metrics.enumerated() {
            register(metric.name, metric.help, metric.kind, labels: []).group.withLock { $0 = (group, index) }
        }
    }

    @discardableResult
    func register(_ name: String, _ help: String, _ kind: MetricKind, labels: [String]) -> MetricFamily {
        let family = MetricFamily(name: name, help: help, kind: kind, labels: labels)
        families.withLock { families in
            precondition(families.updateValue(family, forKey: name) == nil, "the metric \(name) is registered twice")
        }
        return family
    }

    /// All metrics in the Prometheus text format, version 0.0.4, as UTF-8.
    public func render() -> [UInt8] {
        let sorted = families.withLock { $0.values.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) } }
        var text = MetricsText()
        for family in sorted { family.render(into: &text) }
        for family in sorted { family.finishScrape() }
        return text.bytes
    }

    /// The `Content-Type` of what `render` returns, as etcd sends it.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
}

/// What a metric is.
enum MetricKind: Sendable {
    case counter, gauge
    case histogram(HistogramBounds)

    var name: String {
        switch self {
        case .counter: return "counter"
        case .gauge: return "gauge"
        case .histogram: return "histogram"
        }
    }
}

/// Counters of one name. Asking for one allocates the first time and takes a lock: do it when a peer or a stream begins, and keep
/// what is returned.
public struct CounterFamily: Sendable {
    let family: MetricFamily

    /// - Parameter values: one for each label, in the order in which the labels were registered.
    public func labelled(_ values: String...) -> Counter { Counter(cell: family.scalar(values)) }
}

/// Gauges of one name; see ``CounterFamily``.
public struct GaugeFamily: Sendable {
    let family: MetricFamily

    public func labelled(_ values: String...) -> Gauge { Gauge(cell: family.scalar(values)) }
}

/// Histograms of one name; see ``CounterFamily``.
public struct HistogramFamily: Sendable {
    let family: MetricFamily
    let bounds: HistogramBounds

    public func labelled(_ values: String...) -> Histogram { family.histogram(values, bounds) }
}
