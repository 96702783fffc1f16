import Host

/// One direction of a connection: what is put in comes out in the same order, each thing after a delay, and later while the far
/// end is silent.
final class Lane<Item> {
    private unowned let cluster: SimulatedCluster
    private let delay: Instant.Span
    private let isSilent: () -> Bool
    private let take: (Item) throws -> Void
    private var items: [(due: Instant, item: Item)] = []
    private var isScheduled = false
    private(set) var isClosed = false

    /// How often a silent end is looked at again.
    private static var patience: Instant.Span { .milliseconds(50) }

    init(
        _ cluster: SimulatedCluster, delay: Instant.Span, isSilent: @escaping () -> Bool, take: @escaping (Item) throws -> Void
    ) {
        self.cluster = cluster
        self.delay = delay
        self.isSilent = isSilent
        self.take = take
    }

    func put(_ item: Item) {
        guard !isClosed else { return }
        items.append((cluster.now + delay, item))
        schedule(at: cluster.now + delay)
    }

    func close() {
        isClosed = true
        items = []
    }

    private func schedule(at time: Instant) {
        guard !isScheduled else { return }
        isScheduled = true
        cluster.schedule(at: time) { [weak self] in try self?.pump() }
    }

    private func pump() throws {
        isScheduled = false
        while let first = items.first {
            if first.due > cluster.now { return schedule(at: first.due) }
            if isSilent() { return schedule(at: cluster.now + Self.patience) }
            items.removeFirst()
            try take(first.item)
        }
    }
}
