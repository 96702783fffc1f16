import Synchronization

/// A loop's sign of life, for the ``LoopWatch``: whoever watches asks, the loop answers when it comes round.
public final class LoopPulse: Sendable {
    /// As people know it: `member thread`, `event loop 2`.
    public let name: String
    private let asked = Atomic<UInt64>(0)
    private let answered = Atomic<UInt64>(0)

    public init(_ name: String) { self.name = name }

    /// By the loop, each time it comes round.
    public func beat() { answered.store(asked.load(ordering: .relaxed), ordering: .relaxed) }

    func ask(_ question: UInt64) { asked.store(question, ordering: .relaxed) }
    var answer: UInt64 { answered.load(ordering: .relaxed) }
}

/// A loop that is watched.
public struct WatchedLoop: Sendable {
    let pulse: LoopPulse
    let nudge: @Sendable () -> Void

    /// - Parameter nudge: makes the loop come round soon even if it has nothing to do. Called on another thread; must not wait.
    public init(_ pulse: LoopPulse, nudge: @escaping @Sendable () -> Void) {
        self.pulse = pulse
        self.nudge = nudge
    }
}
