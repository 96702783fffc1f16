/// The `grpc-timeout` field: up to eight digits and a unit (gRPC over HTTP/2, "Timeout").
public enum GRPCTimeout {
    public enum Malformed: Error, Equatable {
        case tooShort, tooLong, unknownUnit, notANumber

        /// grpc-go's words for it.
        func message(for value: UnsafeRawBufferPointer) -> String {
            switch self {
            case .tooShort: "transport: timeout string is too short: \(quoted(value))"
            case .tooLong: "transport: timeout string is too long: \(quoted(value))"
            case .unknownUnit: "transport: timeout unit is not recognized: \(quoted(value))"
            case .notANumber:
                "strconv.ParseUint: parsing \(quoted(UnsafeRawBufferPointer(rebasing: value.dropLast()))): invalid syntax"
            }
        }
    }

    /// The field's value for a timeout, rounded up to the milliseconds; at most 99,999,999 s.
    public static func text(_ timeout: Duration) -> String {
        let (seconds, attoseconds) = timeout.components
        guard seconds < 90_000 else { return "\(min(seconds, 99_999_999))S" }
        return "\(max(0, seconds * 1_000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000))m"
    }

    /// Nanoseconds; at most 292 years, which stands for longer ones.
    public static func nanoseconds(_ value: UnsafeRawBufferPointer) throws(Malformed) -> UInt64 {
        guard value.count >= 2 else { throw .tooShort }
        guard value.count <= 9 else { throw .tooLong }
        let unit: UInt64
        switch value[value.count - 1] {
        case UInt8(ascii: "H"): unit = 3_600_000_000_000
        case UInt8(ascii: "M"): unit = 60_000_000_000
        case UInt8(ascii: "S"): unit = 1_000_000_000
        case UInt8(ascii: "m"): unit = 1_000_000
        case UInt8(ascii: "u"): unit = 1_000
        case UInt8(ascii: "n"): unit = 1
        default: throw .unknownUnit
        }
        var number: UInt64 = 0
        for byte in value.dropLast() {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { throw .notANumber }
            number = number * 10 + UInt64(byte - UInt8(ascii: "0"))
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? UInt64(Int64.max) : min(product, UInt64(Int64.max))
    }
}
