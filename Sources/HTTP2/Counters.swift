import Synchronization

/// Counters that one event loop writes and any thread may read: an increment is a plain load and store, never a locked instruction.
///
/// `Key` is an enum with a case per counter. A counter that only its own loop writes loses nothing; a reader may be a moment behind.
public final class CounterSet<Key: CaseIterable & RawRepresentable & Sendable>: Sendable where Key.RawValue == Int {
    @usableFromInline let values = InlineArray<48, Atomic<Int>> { _ in Atomic(0) }

    public init() { precondition(Key.allCases.count <= 48, "more counters than a set holds") }

    /// To be called on the owning event loop only.
    @inlinable @inline(__always)
    public func add(_ key: Key, _ amount: Int = 1) {
        let at = key.rawValue
        values[at].store(values[at].load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    public func read(_ key: Key) -> Int { values[key.rawValue].load(ordering: .relaxed) }
}

/// What a server counts, HTTP/1 and HTTP/2 together. `connectionsOpen` and `streamsOpen` go down again, the others only grow.
public enum ServerCounter: Int, CaseIterable, Sendable {
    case connectionsOpen
    case connectionsAccepted
    /// Closed at once because the server was at its limit.
    case connectionsRefused
    /// The first bytes were neither HTTP/2's preface nor the beginning of an HTTP/1 request.
    case garbageConnections
    case prefaceTimeouts
    case headerTimeouts
    case keepaliveTimeouts
    /// Broken HTTP/2 framing, or rules of the protocol not kept.
    case protocolErrors
    case rapidResets
    case controlFloods
    case tooManyPings
    case headerListsTooLarge
    case connectionInputLimits
    case connectionOutputLimits
    case streamsOpen
    case streamsOpened
    case streamsReset
    case streamObjectsMade
    case bytesReceived
    case bytesSent
    case writes
    case malformedHTTP1
    case httpRequests
    case bodiesTooLarge
    case bodyTimeouts
}
