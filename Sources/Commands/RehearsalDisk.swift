import Glibc
import Host
import Synchronization

/// A disk on top of another one that is only read: whatever is written, renamed or removed is so here, in memory, and nowhere else. A
/// start on it shows what a start would do.
///
/// Directories are not kept: what is created in one is there whether or not the directory was.
final class RehearsalDisk: Disk {
    private let below: any Disk
    /// What names stand for where that is not what they stand for below.
    private let names = Mutex<[String: Name]>([:])

    private enum Name: Sendable {
        case content(RehearsalContent)
        case gone
    }

    init(on below: any Disk) { self.below = below }

    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        try names.withLock { (names) throws(DiskError) in
            let found = try content(path, mode, names[path])
            switch (mode, found) {
            case (.createNew, _?):
                throw DiskError(operation: "create", path: path, code: EEXIST, reason: "File exists")
            case (.readOnly, let content?): return RehearsalFile(path, content)
            case (_, let content?):
                names[path] = .content(content)
                return RehearsalFile(path, content)
            case (.readOnly, nil), (.readWrite, nil):
                throw DiskError(operation: "open", path: path, code: ENOENT, reason: "No such file or directory")
            case (_, nil):
                let content = RehearsalContent()
                names[path] = .content(content)
                return RehearsalFile(path, content)
            }
        }
    }

    private func content(_ path: String, _ mode: OpenMode, _ name: Name?) throws(DiskError) -> RehearsalContent? {
        switch name {
        case .content(let content)?: return content
        case .gone?: return nil
        case nil:
            guard try below.exists(path) else { return nil }
            if case .readOnly = mode { return try RehearsalContent(below.open(path, .readOnly)) }
            // Locks on segments of the log want a file that could be written; without the right to write there are none.
            guard let writable = try? below.open(path, .readWrite) else {
                return try RehearsalContent(below.open(path, .readOnly), isLockable: false)
            }
            return try RehearsalContent(writable)
        }
    }

    func list(_ directory: String) throws(DiskError) -> [String] {
        var found = Set(try below.list(directory))
        names.withLock { names in
            for (path, name) in names {
                guard let slash = path.lastIndex(of: "/"), path[..<slash] == directory else { continue }
                let last = String(path[path.index(after: slash)...])
                if case .gone = name { found.remove(last) } else { found.insert(last) }
            }
        }
        return found.sorted()
    }

    func exists(_ path: String) throws(DiskError) -> Bool {
        switch names.withLock({ $0[path] }) {
        case .content?: true
        case .gone?: false
        case nil: try below.exists(path)
        }
    }

    func rename(_ path: String, to target: String) throws(DiskError) {
        try names.withLock { (names) throws(DiskError) in
            guard let content = try content(path, .readWrite, names[path]) else {
                throw DiskError(operation: "rename", path: path, code: ENOENT, reason: "No such file or directory")
            }
            names[target] = .content(content)
            names[path] = .gone
        }
    }

    func remove(_ path: String) throws(DiskError) { names.withLock { $0[path] = .gone } }
    func removeTree(_ path: String) throws(DiskError) { names.withLock { $0[path] = .gone } }
    func createDirectory(_ path: String, permissions: UInt32) throws(DiskError) {}
    func syncDirectory(_ path: String) throws(DiskError) {}
}

/// What a file holds: blocks that were written over, and what is below elsewhere.
private final class RehearsalContent: Sendable {
    private static let blockSize = 4096

    struct State {
        var blocks: [Int: [UInt8]] = [:]
        var size: Int
        /// Bytes that are still those below.
        var visible: Int
    }

    let below: (any DiskFile)?
    let isLockable: Bool
    private let state: Mutex<State>

    init() {
        below = nil
        isLockable = false
        state = Mutex(State(size: 0, visible: 0))
    }

    init(_ below: any DiskFile, isLockable: Bool = true) throws(DiskError) {
        self.below = below
        self.isLockable = isLockable
        let size = try below.size()
        state = Mutex(State(size: size, visible: size))
    }

    deinit { below?.close() }

    var size: Int { state.withLock { $0.size } }
    var isUntouched: Bool { state.withLock { $0.blocks.isEmpty && $0.size == $0.visible } }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
        try state.withLock { (state) throws(DiskError) in
            let count = max(0, min(buffer.count, state.size - offset))
            var done = 0
            while done < count {
                let place = offset + done
                let inBlock = place % RehearsalContent.blockSize
                let length = min(RehearsalContent.blockSize - inBlock, count - done)
                let part = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + length])
                if let block = state.blocks[place / RehearsalContent.blockSize] {
                    part.copyBytes(from: block[inBlock..<inBlock + length])
                } else {
                    try readBelow(at: place, into: part, state)
                }
                done += length
            }
            return count
        }
    }

    private func readBelow(
        at offset: Int, into buffer: UnsafeMutableRawBufferPointer, _ state: borrowing State
    ) throws(DiskError) {
        var filled = 0
        if let below, offset < state.visible {
            let wanted = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, state.visible - offset)])
            filled = try below.read(at: offset, into: wanted)
        }
        UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]).initializeMemory(as: UInt8.self, repeating: 0)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
        try state.withLock { (state) throws(DiskError) in
            var done = 0
            while done < bytes.count {
                let place = offset + done
                let number = place / RehearsalContent.blockSize
                let inBlock = place % RehearsalContent.blockSize
                let length = min(RehearsalContent.blockSize - inBlock, bytes.count - done)
                var block = [UInt8](repeating: 0, count: RehearsalContent.blockSize)
                if let written = state.blocks[number] {
                    block = written
                } else {
                    var failure: DiskError?
                    block.withUnsafeMutableBytes { buffer in
                        do throws(DiskError) {
                            try readBelow(at: number * RehearsalContent.blockSize, into: buffer, state)
                        } catch { failure = error }
                    }
                    if let failure { throw failure }
                }
                block.replaceSubrange(inBlock..<inBlock + length, with: bytes[done..<done + length])
                state.blocks[number] = block
                done += length
            }
            state.size = max(state.size, offset + bytes.count)
        }
    }

    func setSize(_ size: Int) {
        state.withLock { state in
            let isSmaller = size < state.size
            state.size = size
            guard isSmaller else { return }
            state.visible = min(state.visible, size)
            let last = size / RehearsalContent.blockSize
            state.blocks = state.blocks.filter { $0.key <= last }
            if var block = state.blocks[last] {
                let kept = size % RehearsalContent.blockSize
                block.replaceSubrange(kept..., with: repeatElement(0, count: RehearsalContent.blockSize - kept))
                state.blocks[last] = block
            }
        }
    }

    func grow(to size: Int) { state.withLock { $0.size = max($0.size, size) } }
}

private final class RehearsalFile: DiskFile {
    let path: String
    private let content: RehearsalContent

    init(_ path: String, _ content: RehearsalContent) {
        self.path = path
        self.content = content
    }

    func size() throws(DiskError) -> Int { content.size }
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
        try content.read(at: offset, into: buffer)
    }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) { try content.write(bytes, at: offset) }
    func setSize(_ size: Int) throws(DiskError) { content.setSize(size) }
    func preallocate(_ size: Int) throws(DiskError) { content.grow(to: size) }
    func syncData() throws(DiskError) {}
    func sync() throws(DiskError) {}
    func tryLock(_ kind: FileLock) throws(DiskError) -> Bool {
        guard let below = content.below, content.isLockable else { return true }
        return try below.tryLock(kind)
    }
    func map(capacity: Int) throws(DiskError) -> (any FileMapping)? {
        content.isUntouched ? try content.below?.map(capacity: capacity) : nil
    }
    func close() {}
}
