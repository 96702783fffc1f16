/// Whole numbers and truth values as Go's `strconv` reads them, so that a command line written for etcd means the same here.
enum NumberText {
    /// `1 t T TRUE true True` and `0 f F FALSE false False`; anything else is no truth value.
    static func truth(_ text: String) throws(ValueProblem) -> Bool {
        switch text {
        case "1", "t", "T", "TRUE", "true", "True": return true
        case "0", "f", "F", "FALSE", "false", "False": return false
        default: throw .syntax
        }
    }

    /// A number of at most `bits` bits with an optional base prefix: `0x`, `0o`, `0b`, or a leading `0` for octal. Underscores
    /// may stand between digits.
    static func unsigned(_ text: String, bits: Int = 64) throws(ValueProblem) -> UInt64 {
        let (digits, base) = try splitBase(Array(text.utf8))
        var value: UInt64 = 0
        for character in digits {
            guard let digit = digitValue(character), digit < base else { throw .syntax }
            let (product, overflowed) = value.multipliedReportingOverflow(by: base)
            let (sum, carried) = product.addingReportingOverflow(digit)
            if overflowed || carried {
                // A bad digit further on is a syntax error even where the number has become too long already.
                guard digits.allSatisfy({ (digitValue($0) ?? base) < base }) else { throw .syntax }
                throw .range
            }
            value = sum
        }
        guard bits >= 64 || value >> UInt64(bits) == 0 else { throw .range }
        return value
    }

    /// A signed 64-bit number in the same notation, with an optional sign.
    static func signed(_ text: String) throws(ValueProblem) -> Int64 {
        let isNegative = text.hasPrefix("-")
        let magnitude = try unsigned(isNegative || text.hasPrefix("+") ? String(text.dropFirst()) : text)
        if isNegative {
            guard magnitude <= Int64.min.magnitude else { throw .range }
            return magnitude == Int64.min.magnitude ? .min : -Int64(magnitude)
        }
        guard magnitude <= Int64.max.magnitude else { throw .range }
        return Int64(magnitude)
    }

    /// Takes the base prefix off and the underscores out.
    private static func splitBase(_ text: [UInt8]) throws(ValueProblem) -> (digits: [UInt8], base: UInt64) {
        guard let first = text.first else { throw .syntax }
        var base: UInt64 = 10
        var start = 0
        if first == UInt8(ascii: "0"), text.count > 1 {
            switch text[1] | 0x20 {
            case UInt8(ascii: "x"): (base, start) = (16, 2)
            case UInt8(ascii: "o"): (base, start) = (8, 2)
            case UInt8(ascii: "b"): (base, start) = (2, 2)
            default: (base, start) = (8, 1)
            }
        }
        let body = text[start...]
        // An underscore may follow the prefix or a digit, and must be followed by a digit.
        var underscoreAllowed = start > 0
        for character in body {
            if character == UInt8(ascii: "_") {
                guard underscoreAllowed else { throw .syntax }
                underscoreAllowed = false
            } else {
                underscoreAllowed = true
            }
        }
        let digits = body.filter { $0 != UInt8(ascii: "_") }
        guard !digits.isEmpty, body.last != UInt8(ascii: "_") else { throw .syntax }
        return (digits, base)
    }

    private static func digitValue(_ character: UInt8) -> UInt64? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return UInt64(character - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): return UInt64(character - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): return UInt64(character - UInt8(ascii: "A") + 10)
        default: return nil
        }
    }
}
