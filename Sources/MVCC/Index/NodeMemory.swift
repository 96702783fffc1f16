/// Where nodes come from and go to. Nodes of the usual size are kept for reuse, up to a limit.
struct NodeMemory: ~Copyable {
    /// Size of a node that no large key made larger.
    let nodeBytes: Int
    private let pooledLimit: Int
    private let memory: KeyIndexMemory
    private var pool: KeyNode?
    private(set) var pooled = 0
    private var inUse = 0

    init(nodeBytes: Int, pooledLimit: Int, memory: KeyIndexMemory) {
        precondition(nodeBytes >= 128 && nodeBytes <= 1 << 20 && nodeBytes % 8 == 0, "node size out of range")
        self.nodeBytes = nodeBytes
        self.pooledLimit = pooledLimit
        self.memory = memory
    }

    deinit {
        var next = pool
        while let node = next {
            next = node.nextRetired
            deallocate(node)
        }
    }

    /// An empty node with room for at least `bytes`, header included.
    mutating func allocate(atLeast bytes: Int, level: Int, epoch: UInt64) -> KeyNode {
        let capacity = max(nodeBytes, (bytes + 7) & ~7)
        let node: KeyNode
        if capacity == nodeBytes, let reused = pool {
            pool = reused.nextRetired
            pooled -= 1
            node = reused
        } else {
            node = KeyNode(base: .allocate(byteCount: capacity, alignment: 16))
            memory.addNodes(capacity)
        }
        inUse += 1
        node.format(capacity: capacity, level: level, epoch: epoch)
        return node
    }

    mutating func free(_ node: KeyNode) {
        inUse -= 1
        if node.capacity != nodeBytes {
            deallocate(node)
            return
        }
        node.nextRetired = pool
        pool = node
        pooled += 1
        // Two for the one that came: the pool shrinks with the tree, and no call takes long.
        for _ in 0..<2 where pooled > poolLimit {
            guard let surplus = pool else { return }
            pool = surplus.nextRetired
            pooled -= 1
            deallocate(surplus)
        }
    }

    /// A turn with many changes replaces a part of the tree: a few percent of it is kept for the next one.
    private var poolLimit: Int { pooledLimit == 0 ? 0 : max(pooledLimit, inUse / 16) }

    private func deallocate(_ node: KeyNode) {
        memory.addNodes(-node.capacity)
        node.base.deallocate()
    }

    /// Frees a whole tree.
    mutating func freeTree(_ node: KeyNode) {
        if !node.isLeaf {
            for slot in 0..<node.count { freeTree(node.inner(slot).child) }
        }
        free(node)
    }
}
