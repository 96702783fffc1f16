import Glibc
import Host

// Paths and what they lead to.
extension FaultyDisk.State {
    func failure(_ operation: String, _ path: String, offset: Int? = nil, _ code: Int32) -> DiskError {
        let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
        return DiskError(operation: operation, path: path, offset: offset, code: code, reason: reason)
    }

    /// Counts the call, and throws when a fault strikes it. A struck write stores what the fault lets through first.
    mutating func begin(
        _ kind: DiskOperations, _ operation: String, _ path: String, offset: Int? = nil, count: Int? = nil,
        beforeFailing: (inout Self, DiskFault) -> Void = { _, _ in }
    ) throws(DiskError) {
        trace.append(operation, path, offset: offset, count: count)
        if kind == .read {
            if sparesReads { return }
            reads += 1
        }
        var struck: DiskFault?
        for index in faults.indices where faults[index].strikes(kind, path: path) { struck = struck ?? faults[index] }
        guard let struck else { return }
        failures += 1
        beforeFailing(&self, struck)
        let error = failure(operation, path, offset: offset, struck.code)
        trace.lastFailed(error)
        throw error
    }

    private func components(_ path: String) -> [String] {
        var found: [String] = []
        for component in path.split(separator: "/") where component != "." {
            if component == ".." { _ = found.popLast() } else { found.append(String(component)) }
        }
        return found
    }

    func find(_ path: String) -> Inode? {
        var inode = FaultyDirectories.root
        for name in components(path) {
            guard let next = directories.lookup(name, in: inode) else { return nil }
            inode = next
        }
        return inode
    }

    /// The directory at `searched`, which is `path` or one above it.
    func directory(_ searched: String, _ operation: String, _ path: String) throws(DiskError) -> Inode {
        guard let inode = find(searched) else { throw failure(operation, path, ENOENT) }
        guard directories.isDirectory(inode) else { throw failure(operation, path, ENOTDIR) }
        return inode
    }

    func parent(of path: String, _ operation: String) throws(DiskError) -> (directory: Inode, name: String) {
        let components = components(path)
        guard let name = components.last else { throw failure(operation, path, EBUSY) }
        return (try directory(components.dropLast().joined(separator: "/"), operation, path), name)
    }

    mutating func openInode(_ path: String, _ mode: OpenMode) throws(DiskError) -> (inode: Inode, isWritable: Bool) {
        let existing = find(path)
        switch (mode, existing) {
        case (.createNew, .some): throw failure("open", path, EEXIST)
        case (.readOnly, nil), (.readWrite, nil): throw failure("open", path, ENOENT)
        case (_, let inode?):
            if directories.isDirectory(inode) { throw failure("open", path, EISDIR) }
            if case .readOnly = mode { return (inode, false) }
            return (inode, true)
        case (.createNew, nil), (.readWriteCreating, nil):
            let (directory, name) = try parent(of: path, "open")
            let inode = newInode()
            files[inode] = FaultyFileState()
            directories.change([.init(directory: directory, name: name, inode: inode)])
            return (inode, true)
        }
    }

    private mutating func newInode() -> Inode {
        nextInode += 1
        return nextInode - 1
    }
}

// Changes of the tree.
extension FaultyDisk.State {
    mutating func createDirectories(_ path: String) throws(DiskError) {
        var directory = FaultyDirectories.root
        for name in components(path) {
            if let next = directories.lookup(name, in: directory) {
                guard directories.isDirectory(next) else { throw failure("mkdir", path, ENOTDIR) }
                directory = next
            } else {
                let inode = newInode()
                directories.addDirectory(inode)
                directories.change([.init(directory: directory, name: name, inode: inode)])
                directories.sync(directory)
                directory = inode
            }
        }
    }

    mutating func rename(_ path: String, to target: String) throws(DiskError) {
        let source = try parent(of: path, "rename")
        let goal = try parent(of: target, "rename")
        guard let inode = directories.lookup(source.name, in: source.directory) else { throw failure("rename", path, ENOENT) }
        let isDirectory = directories.isDirectory(inode)
        if isDirectory, components(target).starts(with: components(path)), components(target) != components(path) {
            throw failure("rename", path, EINVAL)
        }
        if let replaced = directories.lookup(goal.name, in: goal.directory) {
            if replaced == inode { return }
            switch (isDirectory, directories.isDirectory(replaced)) {
            case (false, true): throw failure("rename", path, EISDIR)
            case (true, false): throw failure("rename", path, ENOTDIR)
            case (true, true) where !directories.isEmpty(replaced): throw failure("rename", path, ENOTEMPTY)
            default: break
            }
        }
        directories.change([
            .init(directory: source.directory, name: source.name, inode: nil),
            .init(directory: goal.directory, name: goal.name, inode: inode),
        ])
    }

    mutating func remove(_ path: String) throws(DiskError) {
        let (directory, name) = try parent(of: path, "remove")
        guard let inode = directories.lookup(name, in: directory) else { throw failure("remove", path, ENOENT) }
        if directories.isDirectory(inode), !directories.isEmpty(inode) { throw failure("remove", path, ENOTEMPTY) }
        directories.change([.init(directory: directory, name: name, inode: nil)])
    }

    mutating func removeTree(_ path: String) throws(DiskError) {
        guard let inode = find(path) else { return }
        if directories.isDirectory(inode) {
            for name in directories.names(in: inode) { try removeTree(path + "/" + name) }
        }
        try remove(path)
    }
}

// Crashes.
extension FaultyDisk.State {
    mutating func crash(_ unsynced: UnsyncedWrites, _ random: inout SeededRandom) {
        generation += 1
        locks = FaultyLocks()
        openHandles = [:]
        directories.crash(unsynced, &random)
        reclaim()
        // In the order of inodes: dictionaries have another one in every process.
        for inode in files.keys.sorted() { files[inode]!.crash(unsynced, &random) }
    }

    /// Forgets files and directories that no name and no open file leads to.
    mutating func reclaim() {
        let kept = directories.reachable().union(openHandles.values)
        directories.keep(only: kept)
        files = files.filter { kept.contains($0.key) }
    }
}
