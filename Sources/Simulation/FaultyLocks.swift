import Host

/// Who holds which lock. The two kinds do not see each other, as on Linux.
struct FaultyLocks: Sendable {
    private struct Holder: Sendable {
        let inode: Inode
        let handle: Int
        let kind: FileLock
    }
    private var holders: [Holder] = []

    /// Takes the lock, in place of one of the same family that the handle holds already.
    mutating func take(_ kind: FileLock, inode: Inode, handle: Int) -> Bool {
        let isTaken = holders.contains { $0.inode == inode && $0.handle != handle && $0.kind.conflicts(with: kind) }
        if isTaken { return false }
        holders.removeAll { $0.inode == inode && $0.handle == handle && $0.kind.isRange == kind.isRange }
        holders.append(Holder(inode: inode, handle: handle, kind: kind))
        return true
    }

    mutating func free(handle: Int) { holders.removeAll { $0.handle == handle } }
}

extension FileLock {
    fileprivate var isRange: Bool { self == .openFileDescription }

    fileprivate func conflicts(with other: FileLock) -> Bool {
        isRange == other.isRange && !(self == .flockShared && other == .flockShared)
    }
}
