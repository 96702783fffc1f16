/// The Prometheus text format, written as Go's client writes it.
struct MetricsText {
    private(set) var bytes: [UInt8] = []
    private var pendingHeader: String?

    init() { bytes.reserveCapacity(1 << 16) }

    /// Begins a metric. Nothing is written until it has a value: a name without values does not appear.
    mutating func header(_ name: String, _ help: String, _ kind: String) {
        pendingHeader = "# HELP \(name) \(Self.escapedHelp(help))\n# TYPE \(name) \(kind)\n"
    }

    /// One line. `labels` is without braces.
    mutating func sample(_ name: String, _ labels: String, _ value: Double) { sample(name, labels, "", "", value) }

    /// One line whose labels are given in three parts.
    mutating func sample(_ name: String, _ first: String, _ second: String, _ third: String, _ value: Double) {
        if let header = pendingHeader {
            append(header)
            pendingHeader = nil
        }
        append(name)
        if !first.isEmpty {
            append("{")
            append(first)
            append(second)
            append(third)
            append("}")
        }
        append(" ")
        append(Self.number(value))
        append("\n")
    }

    mutating func histogram(_ name: String, _ labels: String, _ bounds: HistogramBounds, _ histogram: HistogramTotals) {
        let prefix = labels.isEmpty ? "le=\"" : labels + ",le=\""
        let bucketName = name + "_bucket"
        var total: UInt64 = 0
        for (count, bound) in zip(histogram.counts, bounds.texts) {
            total &+= count
            sample(bucketName, prefix, bound, "\"", Double(total))
        }
        sample(name + "_sum", labels, histogram.sum)
        // The count is the last bucket's, so that both agree whatever is observed meanwhile.
        sample(name + "_count", labels, Double(total))
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    static func escapedHelp(_ text: String) -> String { escaped(text, quotes: false) }
    static func escapedLabel(_ text: String) -> String { escaped(text, quotes: true) }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\"") })
        else {
            return text
        }
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }

    /// A number as Go's `strconv.FormatFloat(value, 'g', -1, 64)` writes it: the fewest digits that read back the same, with an
    /// exponent below 1e-4 and from 1e6 on.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == 0 { return value.sign == .minus ? "-0" : "0" }
        // Most values are small counts.
        if value.magnitude < 1e6, let whole = Int(exactly: value) { return String(whole) }
        let (digits, point) = shortestDigits(value.magnitude)
        let sign = value < 0 ? "-" : ""
        let exponent = point - 1
        if exponent < -4 || exponent >= 6 { return sign + scientific(digits, exponent) }
        if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
        if point >= digits.count { return sign + digits + String(repeating: "0", count: point - digits.count) }
        return sign + digits.prefix(point) + "." + digits.dropFirst(point)
    }

    private static func scientific(_ digits: String, _ exponent: Int) -> String {
        let fraction = digits.dropFirst()
        let mantissa = digits.prefix(1) + (fraction.isEmpty ? "" : "." + fraction)
        let magnitude = String(exponent.magnitude)
        return mantissa + "e" + (exponent < 0 ? "-" : "+") + (magnitude.count < 2 ? "0" : "") + magnitude
    }

    /// The fewest digits that read back as the same number, without zeros at either end, and how many of them stand before the
    /// decimal point (negative: zeros after it). Swift's own description has these digits, in another notation.
    private static func shortestDigits(_ value: Double) -> (digits: String, point: Int) {
        let parts = value.description.split(separator: "e")
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let whole = String(mantissa[0])
        let all = whole + (mantissa.count > 1 ? String(mantissa[1]) : "")
        let leading = all.prefix { $0 == "0" }.count
        var digits = all.dropFirst(leading)
        while digits.last == "0" { digits = digits.dropLast() }
        let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        return (String(digits), whole.count - leading + exponent)
    }
}

/// What a histogram held when it was read.
struct HistogramTotals {
    /// One for each bound, and one for larger values.
    var counts: [UInt64]
    var sum = 0.0

    init(boundCount: Int) { counts = Array(repeating: 0, count: boundCount + 1) }
}
