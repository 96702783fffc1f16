/// Durations as Go's `time` package reads and writes them: `1h30m`, `5s`, `1.5ms`, `-2us`, `0`.
enum DurationText {
    private static let unitNanoseconds: [(name: String, nanoseconds: Int64)] = [
        ("ns", 1), ("us", 1_000), ("\u{B5}s", 1_000), ("\u{3BC}s", 1_000), ("ms", 1_000_000),
        ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ]

    /// The duration in nanoseconds. The error's reason is in Go's words, with the text quoted.
    static func nanoseconds(_ text: String) throws(ValueProblem) -> Int64 {
        let isNegative = text.hasPrefix("-")
        var rest = Substring(text)
        if isNegative || text.hasPrefix("+") { rest = rest.dropFirst() }
        if rest == "0" { return 0 }
        let invalid = ValueProblem(reason: "time: invalid duration \(goQuoted(text))")
        guard !rest.isEmpty else { throw invalid }
        var total: UInt64 = 0
        while !rest.isEmpty {
            let part = try takePart(&rest, of: text, invalid)
            let (sum, overflowed) = total.addingReportingOverflow(part)
            guard !overflowed, sum <= Int64.min.magnitude else { throw invalid }
            total = sum
        }
        if isNegative { return total == Int64.min.magnitude ? .min : -Int64(total) }
        guard total <= Int64.max.magnitude else { throw invalid }
        return Int64(total)
    }

    static func parse(_ text: String) throws(ValueProblem) -> Duration {
        .nanoseconds(try nanoseconds(text))
    }

    /// One number with its unit, in nanoseconds.
    private static func takePart(_ rest: inout Substring, of text: String, _ invalid: ValueProblem) throws(ValueProblem) -> UInt64
    {
        let whole = takeDigits(&rest)
        var fraction: Substring = ""
        if rest.first == "." {
            rest = rest.dropFirst()
            fraction = takeDigits(&rest)
        }
        guard !whole.isEmpty || !fraction.isEmpty else { throw invalid }
        let name = rest.prefix { $0 != "." && !("0"..."9").contains($0) }
        guard !name.isEmpty else { throw ValueProblem(reason: "time: missing unit in duration \(goQuoted(text))") }
        guard let unit = unitNanoseconds.first(where: { $0.name == name }) else {
            throw ValueProblem(reason: "time: unknown unit \(goQuoted(String(name))) in duration \(goQuoted(text))")
        }
        rest = rest.dropFirst(name.count)
        guard let number = whole.isEmpty ? 0 : UInt64(whole) else { throw invalid }
        let (scaled, overflowed) = number.multipliedReportingOverflow(by: UInt64(unit.nanoseconds))
        guard !overflowed else { throw invalid }
        // Digits beyond the ninth decimal of an hour are below one nanosecond's worth of double precision, as in Go.
        let extra = fraction.isEmpty ? 0 : UInt64((Double("0." + fraction) ?? 0) * Double(unit.nanoseconds))
        let (sum, carried) = scaled.addingReportingOverflow(extra)
        guard !carried else { throw invalid }
        return sum
    }

    private static func takeDigits(_ rest: inout Substring) -> Substring {
        let digits = rest.prefix { ("0"..."9").contains($0) }
        rest = rest.dropFirst(digits.count)
        return digits
    }

    /// Go's way of writing a duration: the largest unit that fits below a second, else hours, minutes and seconds.
    static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let fraction = attoseconds / 1_000_000_000
        guard seconds != 0 || fraction != 0 else { return "0s" }
        let sign = seconds < 0 || fraction < 0 ? "-" : ""
        let wholeSeconds = seconds.magnitude
        let nanoseconds = fraction.magnitude
        if wholeSeconds == 0 {
            if nanoseconds < 1_000 { return "\(sign)\(nanoseconds)ns" }
            if nanoseconds < 1_000_000 { return sign + decimal(nanoseconds, per: 1_000) + "\u{B5}s" }
            return sign + decimal(nanoseconds, per: 1_000_000) + "ms"
        }
        var text = sign
        if wholeSeconds >= 3_600 { text += "\(wholeSeconds / 3_600)h" }
        if wholeSeconds >= 60 { text += "\(wholeSeconds / 60 % 60)m" }
        return text + decimal((wholeSeconds % 60) * 1_000_000_000 + nanoseconds, per: 1_000_000_000) + "s"
    }

    /// `value / unit` with the decimals it needs and no trailing zero.
    private static func decimal(_ value: UInt64, per unit: UInt64) -> String {
        guard value % unit != 0 else { return String(value / unit) }
        var digits = String(value % unit + unit).dropFirst()
        while digits.last == "0" { digits = digits.dropLast() }
        return "\(value / unit).\(digits)"
    }
}

/// A text in double quotes as Go's `%q` writes it, for error messages that tools compare with etcd's.
func goQuoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": quoted += "\\\""
        case "\\": quoted += "\\\\"
        case "\n": quoted += "\\n"
        case "\r": quoted += "\\r"
        case "\t": quoted += "\\t"
        default:
            if scalar.value < 0x20 || scalar.value == 0x7F {
                quoted += "\\x" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            } else {
                quoted.unicodeScalars.append(scalar)
            }
        }
    }
    return quoted + "\""
}
