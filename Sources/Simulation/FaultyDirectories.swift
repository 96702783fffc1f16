import Glibc
import Host

/// A file's or directory's identity, whatever it is called.
typealias Inode = Int

/// The directory tree of a ``FaultyDisk``. Changes are seen at once and durable after their directory's sync.
struct FaultyDirectories: Sendable {
    static let root: Inode = 0
    private var live: [Inode: [String: Inode]] = [root: [:]]
    private var durable: [Inode: [String: Inode]] = [root: [:]]
    private var changes: [[Assignment]] = []

    /// One name's new meaning; nil removes it. A rename is two in one change.
    struct Assignment: Sendable {
        let directory: Inode
        let name: String
        let inode: Inode?
    }

    func isDirectory(_ inode: Inode) -> Bool { live[inode] != nil }

    func lookup(_ name: String, in directory: Inode) -> Inode? { live[directory]?[name] }

    func names(in directory: Inode) -> [String] { live[directory, default: [:]].keys.sorted() }

    func isEmpty(_ directory: Inode) -> Bool { live[directory, default: [:]].isEmpty }

    mutating func addDirectory(_ inode: Inode) {
        live[inode] = [:]
        durable[inode] = [:]
    }

    /// One atomic change.
    mutating func change(_ assignments: [Assignment]) {
        for assignment in assignments { live[assignment.directory]![assignment.name] = assignment.inode }
        changes.append(assignments)
    }

    /// Makes durable what changed in one directory, and whatever that rests on elsewhere (the other half of a rename).
    mutating func sync(_ directory: Inode) {
        settle(keeping: changes.map { $0.contains { $0.directory == directory } }, droppingOthers: false)
    }

    mutating func crash(_ unsynced: UnsyncedWrites, _ random: inout SeededRandom) {
        // Sectors of directories are journalled: a change is never torn.
        let drawn = unsynced.drawn(&random)
        let mode = drawn == .torn ? UnsyncedWrites.subset : drawn
        settle(keeping: mode.survivors(changes.count, &random), droppingOthers: true)
        live = durable
    }

    /// Every inode some name leads to, now or after a crash.
    func reachable() -> Set<Inode> {
        var found: Set<Inode> = [Self.root]
        for tree in [live, durable] {
            for entries in tree.values { found.formUnion(entries.values) }
        }
        for case let inode? in changes.joined().map(\.inode) { found.insert(inode) }
        return found
    }

    /// Forgets directories that no name leads to.
    mutating func keep(only inodes: Set<Inode>) {
        live = live.filter { inodes.contains($0.key) }
        durable = durable.filter { inodes.contains($0.key) }
    }

    /// Makes the chosen changes durable together with the earlier ones that speak of the same names:
    /// journals keep the order in which one name changed, so that no file ends up under two.
    private mutating func settle(keeping chosen: [Bool], droppingOthers: Bool) {
        var kept = chosen
        var needed: Set<String> = []
        for index in changes.indices.reversed() {
            let names = changes[index].map { "\($0.directory)/\($0.name)" }
            if !kept[index], names.contains(where: { needed.contains($0) }) { kept[index] = true }
            if kept[index] { needed.formUnion(names) }
        }
        for (change, isKept) in zip(changes, kept) where isKept {
            // A directory that no name leads to any more has been forgotten; nothing in it matters.
            for assignment in change { durable[assignment.directory]?[assignment.name] = assignment.inode }
        }
        changes = droppingOthers ? [] : zip(changes, kept).filter { !$0.1 }.map { $0.0 }
    }
}
