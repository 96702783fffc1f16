import Glibc
import Host
import Synchronization

/// A file opened on a ``FaultyDisk``. After a crash of the disk every call but ``close()`` fails with `EIO`.
final class FaultyFile: DiskFile {
    let path: String
    private let disk: FaultyDisk
    private let inode: Inode
    private let handle: Int
    private let generation: Int
    private let isWritable: Bool
    private let isClosed = Atomic<Bool>(false)

    init(disk: FaultyDisk, path: String, inode: Inode, handle: Int, generation: Int, isWritable: Bool) {
        self.disk = disk
        self.path = path
        self.inode = inode
        self.handle = handle
        self.generation = generation
        self.isWritable = isWritable
    }

    deinit { close() }

    func close() {
        if isClosed.exchange(true, ordering: .relaxed) { return }
        disk.state.withLock { state in
            state.locks.free(handle: handle)
            state.openHandles[handle] = nil
        }
    }

    func size() throws(DiskError) -> Int {
        try call(.size, "stat") { (state) throws(DiskError) in state.files[inode]!.live.size }
    }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
        // Only this call touches the buffer, and it is over when the lock is free again.
        nonisolated(unsafe) let buffer = buffer
        return try call(.read, "read", offset: offset, count: buffer.count) { (state) throws(DiskError) in
            state.files[inode]!.live.read(at: offset, into: buffer)
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
        // As with `read`: borrowed for the duration of the call.
        nonisolated(unsafe) let bytes = bytes
        try change(
            .write, "write", offset: offset, count: bytes.count,
            beforeFailing: { [inode] state, fault in
                let stored = min(fault.storedBytes ?? 0, bytes.count)
                state.files[inode]!.write(UnsafeRawBufferPointer(rebasing: bytes[..<stored]), at: offset)
            },
            effect: { $0.write(bytes, at: offset) })
    }

    func setSize(_ size: Int) throws(DiskError) {
        try change(.setSize, "truncate", offset: size) { $0.setSize(size) }
    }

    func preallocate(_ size: Int) throws(DiskError) {
        try change(.preallocate, "preallocate", offset: size) { file in
            if file.live.size < size { file.setSize(size) }
        }
    }

    func syncData() throws(DiskError) { try sync(.syncData, "fdatasync") }

    func sync() throws(DiskError) { try sync(.sync, "fsync") }

    func tryLock(_ kind: FileLock) throws(DiskError) -> Bool {
        try call(.lock, "lock") { (state) throws(DiskError) in
            // A write lock over a range needs a file open for writing; flock does not.
            if kind == .openFileDescription, !isWritable { throw state.failure("lock", path, EBADF) }
            return state.locks.take(kind, inode: inode, handle: handle)
        }
    }

    func map(capacity: Int) throws(DiskError) -> (any FileMapping)? { nil }

    private func sync(_ kind: DiskOperations, _ operation: String) throws(DiskError) {
        try call(kind, operation, beforeFailing: { [inode] state, _ in state.files[inode]!.syncFailed() }) {
            (state) throws(DiskError) in
            state.files[inode]!.sync()
        }
    }

    private func change(
        _ kind: DiskOperations, _ operation: String, offset: Int, count: Int? = nil,
        beforeFailing: (inout FaultyDisk.State, DiskFault) -> Void = { _, _ in },
        effect: (inout FaultyFileState) -> Void
    ) throws(DiskError) {
        try call(kind, operation, offset: offset, count: count, beforeFailing: beforeFailing) { (state) throws(DiskError) in
            guard isWritable else { throw state.failure(operation, path, offset: offset, EBADF) }
            effect(&state.files[inode]!)
        }
    }

    private func call<Answer: Sendable>(
        _ kind: DiskOperations, _ operation: String, offset: Int? = nil, count: Int? = nil,
        beforeFailing: (inout FaultyDisk.State, DiskFault) -> Void = { _, _ in },
        _ body: (inout FaultyDisk.State) throws(DiskError) -> Answer
    ) throws(DiskError) -> Answer {
        precondition(!isClosed.load(ordering: .relaxed), "the file was closed before")
        return try disk.state.withLock { (state) throws(DiskError) in
            guard state.generation == generation else { throw state.failure(operation, path, offset: offset, EIO) }
            try state.begin(kind, operation, path, offset: offset, count: count, beforeFailing: beforeFailing)
            return try body(&state)
        }
    }
}
