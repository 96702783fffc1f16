import Glibc
import Testing

@testable import Telemetry

struct MetricsTests {
    @Test func scalarsAreWrittenSortedByName() {
        let registry = MetricsRegistry()
        let gauge = registry.gauge("b_size", "The size.")
        let counter = registry.counter("a_total", "With \\ and\nnewline \"quotes\".")
        counter.increment()
        counter.increment(by: 41)
        gauge.set(7)
        gauge.add(-9)
        let expected = """
            # HELP a_total With \\\\ and\\nnewline "quotes".
            # TYPE a_total counter
            a_total 42
            # HELP b_size The size.
            # TYPE b_size gauge
            b_size -2

            """
        #expect(text(registry) == expected)
    }

    @Test func labelsAreSortedAndEscaped() {
        let registry = MetricsRegistry()
        let family = registry.counters("x_total", "X.", labels: ["To", "API"])
        family.labelled("b", "q\"\\\n").increment()
        family.labelled("a", "z").increment(by: 2)
        family.labelled("a", "c").increment(by: 3)
        family.labelled("a", "c").increment()
        let expected = """
            # HELP x_total X.
            # TYPE x_total counter
            x_total{API="c",To="a"} 4
            x_total{API="q\\"\\\\\\n",To="b"} 1
            x_total{API="z",To="a"} 2

            """
        #expect(text(registry) == expected)
    }

    @Test func aFamilyWithoutMembersIsNotWritten() {
        let registry = MetricsRegistry()
        let family = registry.gauges("y", "Y.", labels: ["a"])
        #expect(text(registry).isEmpty)
        family.labelled("1").set(true)
        #expect(text(registry).hasSuffix("y{a=\"1\"} 1\n"))
    }

    @Test func membersBeyondTheLimitAreCountedTogether() {
        let registry = MetricsRegistry()
        let family = registry.counters("z_total", "Z.", labels: ["client"])
        for index in 0..<(MetricFamily.maximumChildren + 50) { family.labelled("v\(index)").increment() }
        let lines = text(registry).split(separator: "\n")
        #expect(lines.count == 2 + MetricFamily.maximumChildren + 1)
        #expect(lines.contains("z_total{client=\"other\"} 50"))
    }

    /// Observations and the text that etcd's client library writes for them.
    @Test func histogramsAreCumulative() {
        let registry = MetricsRegistry()
        let histogram = registry.histogram("h_seconds", "H.", .exponential(from: 0.001, count: 4))
        for value in [0.0005, 0.001, 0.0011, 0.004, 1.5] { histogram.observe(value) }
        histogram.observeSeconds(.milliseconds(3))
        let expected = """
            # HELP h_seconds H.
            # TYPE h_seconds histogram
            h_seconds_bucket{le="0.001"} 2
            h_seconds_bucket{le="0.002"} 3
            h_seconds_bucket{le="0.004"} 5
            h_seconds_bucket{le="0.008"} 5
            h_seconds_bucket{le="+Inf"} 6
            h_seconds_sum \(MetricsText.number(histogram.sum))
            h_seconds_count 6

            """
        #expect(text(registry) == expected)
        #expect(histogram.count == 6)
        #expect(abs(histogram.sum - 1.5096) < 1e-12)
    }

    @Test func labelledHistogramsPutTheBoundLast() {
        let registry = MetricsRegistry()
        let family = registry.histograms("rtt_seconds", "R.", labels: ["To"], .exponential(from: 0.5, count: 1))
        family.labelled("a").observeMilliseconds(.milliseconds(2))
        #expect(
            text(registry).contains("rtt_seconds_bucket{To=\"a\",le=\"0.5\"} 0\nrtt_seconds_bucket{To=\"a\",le=\"+Inf\"} 1\n"))
        #expect(text(registry).contains("rtt_seconds_sum{To=\"a\"} 2\n"))
    }

    /// Go's `strconv.FormatFloat(x, 'g', -1, 64)` of the same numbers.
    @Test(
        arguments: [
            (0, "0"), (-0.0, "-0"), (1, "1"), (-1, "-1"), (0.1, "0.1"), (100_000, "100000"), (524_288, "524288"),
            (1_000_000, "1e+06"),
            (1_048_576, "1.048576e+06"), (20_971_520, "2.097152e+07"), (1.79522961857e9, "1.79522961857e+09"),
            (18_446_744_073_709_551_616, "1.8446744073709552e+19"), (0.0001, "0.0001"), (0.00001, "1e-05"),
            (7.3529e-05, "7.3529e-05"),
            (0.00033198500000000003, "0.00033198500000000003"), (123_456.7, "123456.7"), (1_234_567.25, "1.23456725e+06"),
            (1e100, "1e+100"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (2.5, "2.5"),
            (0.0016, "0.0016"), (52.4288, "52.4288"), (1e21, "1e+21"), (999_999, "999999"),
            (0.009902465000000001, "0.009902465000000001"),
        ] as [(Double, String)])
    func numbersAreWrittenAsGoDoes(_ value: Double, _ expected: String) {
        #expect(MetricsText.number(value) == expected)
    }

    @Test func gaugesCanBeAskedForAtEachScrape() {
        let registry = MetricsRegistry()
        registry.gauge("temperature", "T.") { 36.6 }
        #expect(text(registry).hasSuffix("temperature 36.6\n"))
    }

    @Test func valuesAreReadTogetherOncePerScrape() {
        let registry = MetricsRegistry()
        let reads = Gauge(cell: MetricCells.allocate(1))
        registry.readTogether([("p_a", "A.", .gauge), ("p_b", "B.", .counter)]) {
            reads.add(1)
            return [1, Double(reads.value)]
        }
        #expect(text(registry).contains("p_b 1\n"))
        #expect(text(registry).contains("p_b 2\n"))
        #expect(reads.value == 2)
    }

    @Test func manyThreadsLoseNoCount() async {
        let registry = MetricsRegistry()
        let counter = registry.counter("c_total", "C.")
        let histogram = registry.histogram("h", "H.", .exponential(from: 1, count: 3))
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<10_000 {
                        counter.increment()
                        histogram.observe(2)
                    }
                }
            }
        }
        #expect(counter.value == 80_000)
        #expect(histogram.count == 80_000)
        #expect(histogram.sum == 160_000)
    }

    @Test func theProcessReportsItself() throws {
        let reading = try #require(ProcessMetrics.read())
        #expect(reading.residentBytes > 1_048_576)
        #expect(reading.virtualBytes > reading.residentBytes)
        #expect(reading.openFiles >= 3)
        #expect(reading.maximumFiles >= reading.openFiles)
        #expect(reading.cpuSeconds > 0)
        let now = Double(Int(time(nil)))
        #expect(reading.startTime > 1.5e9 && reading.startTime <= now + 1)
    }
}
