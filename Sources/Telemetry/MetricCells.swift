import Synchronization

/// Memory for the numbers behind metrics. Each metric starts on a cache line of its own, so that threads which count different
/// things do not slow each other down.
///
/// The memory is never given back: a metric lives as long as its process, and so the handles below can be trivial values (one
/// pointer, no reference counting on the hot path) that cannot outlive what they point to.
enum MetricCells {
    typealias Cell = UnsafeMutablePointer<Atomic<UInt64>>

    static let lineBytes = 64

    /// `count` neighbouring cells, zeroed.
    static func allocate(_ count: Int) -> Cell {
        precondition(count > 0, "a metric has at least one cell")
        let stride = MemoryLayout<Atomic<UInt64>>.stride
        let bytes = (count * stride + lineBytes - 1) / lineBytes * lineBytes
        // Aligned and large enough for `count` atomics, each initialised before anyone sees the pointer.
        let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: lineBytes)
        let cells = raw.bindMemory(to: Atomic<UInt64>.self, capacity: count)
        for index in 0..<count { (cells + index).initialize(to: Atomic(0)) }
        return cells
    }
}

/// A number that only grows. Safe to use from any thread; nothing is allocated or counted.
public struct Counter: @unchecked Sendable {
    // Unchecked because of the pointer: it leads to an atomic in memory that is never freed (see MetricCells).
    @usableFromInline let cell: UnsafeMutablePointer<Atomic<UInt64>>

    @usableFromInline init(cell: UnsafeMutablePointer<Atomic<UInt64>>) { self.cell = cell }

    @inlinable public func increment(by amount: UInt64 = 1) {
        cell.pointee.wrappingAdd(amount, ordering: .relaxed)
    }

    /// The same without a locked instruction, where only one thread ever counts: ten times cheaper.
    @inlinable public func incrementAsOnlyWriter(by amount: UInt64 = 1) {
        cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    public var value: UInt64 { cell.pointee.load(ordering: .relaxed) }
}

/// A whole number that goes up and down. Safe to use from any thread; nothing is allocated or counted.
public struct Gauge: @unchecked Sendable {
    // Unchecked because of the pointer: it leads to an atomic in memory that is never freed (see MetricCells).
    @usableFromInline let cell: UnsafeMutablePointer<Atomic<UInt64>>

    @usableFromInline init(cell: UnsafeMutablePointer<Atomic<UInt64>>) { self.cell = cell }

    @inlinable public func set(_ value: Int64) { cell.pointee.store(UInt64(bitPattern: value), ordering: .relaxed) }

    @inlinable public func set(_ value: Bool) { set(value ? 1 : 0) }

    @inlinable public func add(_ amount: Int64) {
        cell.pointee.wrappingAdd(UInt64(bitPattern: amount), ordering: .relaxed)
    }

    public var value: Int64 { Int64(bitPattern: cell.pointee.load(ordering: .relaxed)) }
}

/// Counts of observed values by size, and their sum. Safe to use from any thread; nothing is allocated or counted.
public struct Histogram: @unchecked Sendable {
    // Unchecked because of the pointers: cells and bounds are in memory that is never freed, and the bounds never change.
    /// One count for each bound, one for larger values, then the sum's bit pattern.
    @usableFromInline let cells: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let bounds: UnsafePointer<Double>
    @usableFromInline let boundCount: Int

    @usableFromInline init(cells: UnsafeMutablePointer<Atomic<UInt64>>, bounds: UnsafePointer<Double>, boundCount: Int) {
        self.cells = cells
        self.bounds = bounds
        self.boundCount = boundCount
    }

    /// Counts one value, in the metric's unit.
    @inlinable public func observe(_ value: Double) {
        cells[bucket(of: value)].wrappingAdd(1, ordering: .relaxed)
        let sum = cells + (boundCount + 1)
        var expected = sum.pointee.load(ordering: .relaxed)
        while true {
            let desired = (Double(bitPattern: expected) + value).bitPattern
            let (exchanged, original) = sum.pointee.weakCompareExchange(expected: expected, desired: desired, ordering: .relaxed)
            if exchanged { return }
            expected = original
        }
    }

    /// The same without locked instructions, where only one thread ever observes.
    @inlinable public func observeAsOnlyWriter(_ value: Double) {
        let count = cells + bucket(of: value)
        count.pointee.store(count.pointee.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
        let sum = cells + (boundCount + 1)
        sum.pointee.store((Double(bitPattern: sum.pointee.load(ordering: .relaxed)) + value).bitPattern, ordering: .relaxed)
    }

    @inlinable func bucket(of value: Double) -> Int {
        var index = 0
        while index < boundCount, value > bounds[index] { index += 1 }
        return index
    }

    /// Counts a duration in a metric whose unit is the second.
    @inlinable public func observeSeconds(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        observe(Double(seconds) + Double(attoseconds) * 1e-18)
    }

    /// Counts a duration in a metric whose unit is the millisecond.
    @inlinable public func observeMilliseconds(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        observe(Double(seconds) * 1e3 + Double(attoseconds) * 1e-15)
    }

    /// Values seen, those of every size together.
    public var count: UInt64 { (0...boundCount).reduce(0) { $0 &+ cells[$1].load(ordering: .relaxed) } }
    public var sum: Double { Double(bitPattern: cells[boundCount + 1].load(ordering: .relaxed)) }

    var totals: HistogramTotals {
        var totals = HistogramTotals(boundCount: boundCount)
        for index in 0...boundCount { totals.counts[index] = cells[index].load(ordering: .relaxed) }
        totals.sum = sum
        return totals
    }
}

/// Bounds of a histogram, in memory that is never given back, shared by all histograms of one metric.
public struct HistogramBounds: @unchecked Sendable {
    // Unchecked because of the pointer: it is written once, before anyone sees it, and never freed.
    let pointer: UnsafePointer<Double>
    let count: Int
    /// As written in `le`, `+Inf` at the end.
    let texts: [String]

    /// - Parameter values: in rising order.
    public init(_ values: [Double]) {
        precondition(!values.isEmpty && zip(values, values.dropFirst()).allSatisfy { $0 < $1 }, "bounds rise")
        let memory = UnsafeMutablePointer<Double>.allocate(capacity: values.count)
        memory.initialize(from: values, count: values.count)
        pointer = UnsafePointer(memory)
        count = values.count
        texts = values.map { MetricsText.number($0) } + ["+Inf"]
    }

    /// `count` bounds from `start` on, each `factor` times the one before: Go's `prometheus.ExponentialBuckets`, computed the
    /// same way so that the bounds come out as the same numbers.
    public static func exponential(from start: Double, factor: Double = 2, count: Int) -> HistogramBounds {
        var values: [Double] = []
        var bound = start
        for _ in 0..<count {
            values.append(bound)
            bound *= factor
        }
        return HistogramBounds(values)
    }

    func makeHistogram() -> Histogram {
        Histogram(cells: MetricCells.allocate(count + 2), bounds: pointer, boundCount: count)
    }
}
