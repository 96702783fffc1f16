import Host

/// How long turns that write take lately, on average.
///
/// Where a sync takes no longer than some wake-ups of threads, the event loop on which a client's lone write arrived takes the turn itself:
/// to hand it to the member thread and to be handed the answer costs more than the loop's other clients lose while it waits for the disk.
/// One slow sync ends that at once, for as many turns as it was slow.
public struct TurnPace: Sendable {
    /// A solid-state disk is well below, a spinning one far above.
    static let longest = Instant.Span(nanoseconds: 500_000)
    private static let window: Int64 = 16

    /// Nanoseconds. To begin with nothing is known of the disk.
    private var average = TurnPace.longest.nanoseconds * 2

    public init() {}

    public mutating func wrote(for span: Instant.Span) { average += (span.nanoseconds - average) / TurnPace.window }

    public var isShort: Bool { average < TurnPace.longest.nanoseconds }
}
