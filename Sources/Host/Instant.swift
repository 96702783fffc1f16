/// A point on a monotonic clock, in nanoseconds since an arbitrary start. Virtual in the simulator.
public struct Instant: Comparable, Hashable, Sendable {
    public var nanoseconds: UInt64
    @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
    @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable public static func + (a: Instant, b: Span) -> Instant {
        Instant(nanoseconds: UInt64(max(0, Int64(a.nanoseconds) + b.nanoseconds)))
    }
    @inlinable public static func - (a: Instant, b: Instant) -> Span {
        Span(nanoseconds: Int64(a.nanoseconds) - Int64(b.nanoseconds))
    }
}

extension Instant {
    /// A length of time in nanoseconds; negative when it points into the past.
    public struct Span: Comparable, Hashable, Sendable {
        public var nanoseconds: Int64
        @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
        @inlinable public static func milliseconds(_ count: Int64) -> Span { Span(nanoseconds: count * 1_000_000) }
        @inlinable public static func seconds(_ count: Int64) -> Span { Span(nanoseconds: count * 1_000_000_000) }
        @inlinable public static func < (a: Span, b: Span) -> Bool { a.nanoseconds < b.nanoseconds }
        @inlinable public var seconds: Double { Double(nanoseconds) / 1e9 }
        /// Whole nanoseconds.
        @inlinable public init(_ duration: Duration) {
            let (seconds, attoseconds) = duration.components
            self.init(nanoseconds: seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        }
    }
}
