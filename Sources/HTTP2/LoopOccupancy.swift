import Synchronization

/// How many connections each event loop serves, for whoever places new ones.
///
/// A loop that is going to wait for a disk secludes itself first. It can only while one connection at most depends on it, and until it is back
/// every new one goes to another loop: so a disk that hangs silences nobody but the client that waits for it.
public final class LoopOccupancy: Sendable {
    private struct Loop {
        var connections = 0
        var isSecluded = false
    }

    private struct State {
        var loops: [Loop]
        var last: Int
    }

    private let state: Mutex<State>

    public init(loopCount: Int) {
        precondition(loopCount > 0, "connections need an event loop")
        state = Mutex(State(loops: [Loop](repeating: Loop(), count: loopCount), last: loopCount - 1))
    }

    /// The number of a loop for one more connection, which must ``leave(_:)`` it exactly once: of those with the fewest, the next in turn.
    public func enter() -> Int {
        state.withLock { state in
            let count = state.loops.count
            let inTurn = (1...count).map { (state.last + $0) % count }
            guard
                let loop = inTurn.filter({ !state.loops[$0].isSecluded })
                    .min(by: { state.loops[$0].connections < state.loops[$1].connections })
            else { preconditionFailure("all event loops are secluded") }
            state.loops[loop].connections += 1
            state.last = loop
            return loop
        }
    }

    public func leave(_ loop: Int) {
        state.withLock { state in
            precondition(state.loops[loop].connections > 0, "more connections left an event loop than entered")
            state.loops[loop].connections -= 1
        }
    }

    public func connections(on loop: Int) -> Int { state.withLock { $0.loops[loop].connections } }

    /// Whether the loop may wait now. To be followed by ``open(_:)`` if it may.
    public func seclude(_ loop: Int) -> Bool {
        state.withLock { state in
            guard state.loops[loop].connections <= 1, state.loops.count(where: { !$0.isSecluded }) > 1 else { return false }
            state.loops[loop].isSecluded = true
            return true
        }
    }

    public func open(_ loop: Int) { state.withLock { $0.loops[loop].isSecluded = false } }
}
