import Synchronization

/// All metrics of one name.
final class MetricFamily: Sendable {
    let name: String
    let help: String
    let kind: MetricKind
    let labels: [String]
    /// Positions in `labels` in the order in which they are written: by name, as Go's client does.
    private let writingOrder: [Int]

    /// Members of a family at most. A further one is counted, but shown under the values `other`: label values such as client
    /// versions come from outside and must not take memory without end.
    static let maximumChildren = 1_024

    struct Child: Sendable {
        let labelValues: [String]
        let storage: Storage
    }

    enum Storage: @unchecked Sendable {
        // Unchecked because of the pointer: it leads to an atomic in memory that is never freed (see MetricCells).
        case scalar(MetricCells.Cell)
        case histogram(Histogram)
    }

    struct Reader: Sendable {
        let labelValues: [String]
        let read: @Sendable () -> Double
    }

    /// Values that are read once a scrape, whichever metric is written first.
    final class ReaderGroup: Sendable {
        let read: @Sendable () -> [Double]?
        private let current = Mutex<[Double]??>(nil)

        init(read: @escaping @Sendable () -> [Double]?) { self.read = read }

        func value(_ index: Int) -> Double? {
            current.withLock { current in
                if current == nil { current = .some(read()) }
                return current.flatMap { $0 }?[index]
            }
        }

        func forget() { current.withLock { $0 = nil } }
    }

    private let children = Mutex<[[String]: Child]>([:])
    let readers = Mutex<[Reader]>([])
    let group = Mutex<(ReaderGroup, Int)?>(nil)
    /// Writes more metrics of this family, whose numbers are kept elsewhere.
    let writer = Mutex<(@Sendable (MetricFamily, inout MetricsText) -> Void)?>(nil)

    init(name: String, help: String, kind: MetricKind, labels: [String]) {
        self.name = name
        self.help = help
        self.kind = kind
        self.labels = labels
        writingOrder = labels.indices.sorted { labels[$0].utf8.lexicographicallyPrecedes(labels[$1].utf8) }
    }

    func scalar(_ values: [String]) -> MetricCells.Cell {
        let child = child(values) { .scalar(MetricCells.allocate(1)) }
        guard case .scalar(let cell) = child.storage else { preconditionFailure("\(name) is a histogram") }
        return cell
    }

    func histogram(_ values: [String], _ bounds: HistogramBounds) -> Histogram {
        let child = child(values) { .histogram(bounds.makeHistogram()) }
        guard case .histogram(let histogram) = child.storage else { preconditionFailure("\(name) is no histogram") }
        return histogram
    }

    private func child(_ values: [String], make: () -> Storage) -> Child {
        precondition(values.count == labels.count, "\(name) has \(labels.count) labels")
        return children.withLock { children in
            if let child = children[values] { return child }
            let kept = children.count < Self.maximumChildren ? values : values.map { _ in "other" }
            if let child = children[kept] { return child }
            let child = Child(labelValues: kept, storage: make())
            children[kept] = child
            return child
        }
    }

    // MARK: Writing

    func render(into text: inout MetricsText) {
        let children = self.children.withLock { Array($0.values) }.sorted { precedes($0.labelValues, $1.labelValues) }
        let readers = self.readers.withLock { $0 }
        let group = self.group.withLock { $0 }
        let writer = self.writer.withLock { $0 }
        let grouped = group.flatMap { $0.0.value($0.1) }
        text.header(name, help, kind.name)
        for child in children { write(child, into: &text) }
        for reader in readers { text.sample(name, labelText(reader.labelValues), reader.read()) }
        if let grouped { text.sample(name, "", grouped) }
        writer?(self, &text)
    }

    func finishScrape() { group.withLock { $0 }?.0.forget() }

    /// Order by label values, the labels taken by name.
    func precedes(_ left: [String], _ right: [String]) -> Bool {
        for index in writingOrder where left[index] != right[index] {
            return left[index].utf8.lexicographicallyPrecedes(right[index].utf8)
        }
        return false
    }

    private func write(_ child: Child, into text: inout MetricsText) {
        let labels = labelText(child.labelValues)
        switch (child.storage, kind) {
        case (.scalar(let cell), .gauge): text.sample(name, labels, Double(Gauge(cell: cell).value))
        case (.scalar(let cell), _): text.sample(name, labels, Double(Counter(cell: cell).value))
        case (.histogram(let histogram), .histogram(let bounds)): text.histogram(name, labels, bounds, histogram.totals)
        case (.histogram, _): preconditionFailure("\(name) is no histogram")
        }
    }

    /// `a="x",b="y"`, or nothing.
    func labelText(_ values: [String]) -> String {
        writingOrder.map { "\(labels[$0])=\"\(MetricsText.escapedLabel(values[$0]))\"" }.joined(separator: ",")
    }
}
