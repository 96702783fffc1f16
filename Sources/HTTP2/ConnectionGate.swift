import Synchronization

/// Counts open connections against a limit, for any number of listeners and event loops together.
///
/// A connection past the limit is accepted and closed at once: the client learns immediately that it should go elsewhere, which one
/// left waiting in the backlog would not.
public final class ConnectionGate: Sendable {
    public let limit: Int
    private let open = Atomic<Int>(0)

    public init(limit: Int = .max) { self.limit = limit }

    public var openConnections: Int { open.load(ordering: .relaxed) }

    /// True when the connection may stay; it must then ``leave()`` exactly once.
    public func tryEnter() -> Bool {
        if open.add(1, ordering: .relaxed).newValue <= limit { return true }
        open.subtract(1, ordering: .relaxed)
        return false
    }

    public func leave() {
        let left = open.subtract(1, ordering: .relaxed).newValue
        precondition(left >= 0, "more connections left than entered")
    }
}
