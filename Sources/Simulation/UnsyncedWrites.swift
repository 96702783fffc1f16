import Host

/// What a crash leaves of the writes, size changes and directory changes that no sync has made durable.
public enum UnsyncedWrites: Sendable, CaseIterable {
    /// Nothing: the disk as of the last syncs.
    case lost
    /// Everything, as when only the process dies.
    case kept
    /// The first few of each file.
    case prefix
    /// Any of each file, in their order.
    case subset
    /// Any 512-byte sectors of any writes; a file may have grown over a hole where its bytes are missing.
    case torn
    /// One of the above, drawn anew for each file.
    case mixed

    /// Settles `mixed`.
    func drawn(_ random: inout SeededRandom) -> UnsyncedWrites {
        if self != .mixed { return self }
        let modes: [UnsyncedWrites] = [.lost, .kept, .prefix, .subset, .torn]
        return modes[Int.random(in: 0..<modes.count, using: &random)]
    }

    /// Which of `count` changes survive whole; `torn` decides sector by sector what this calls true.
    func survivors(_ count: Int, _ random: inout SeededRandom) -> [Bool] {
        switch self {
        case .lost: return [Bool](repeating: false, count: count)
        case .kept, .torn: return [Bool](repeating: true, count: count)
        case .prefix:
            let kept = Int.random(in: 0...count, using: &random)
            return (0..<count).map { $0 < kept }
        case .subset: return (0..<count).map { _ in Bool.random(using: &random) }
        case .mixed: preconditionFailure("drawn before")
        }
    }
}
