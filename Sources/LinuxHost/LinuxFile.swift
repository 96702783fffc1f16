import CLinux
import Glibc
import Host
import Synchronization

/// One open file descriptor.
final class LinuxFile: DiskFile {
    let path: String
    private let openDescriptor: Int32
    private let isClosed = Atomic<Bool>(false)

    init(path: String, descriptor: Int32) {
        self.path = path
        openDescriptor = descriptor
    }

    deinit { close() }

    private var descriptor: Int32 {
        precondition(!isClosed.load(ordering: .relaxed), "the file was closed before")
        return openDescriptor
    }

    func close() {
        // The descriptor is gone on Linux whatever close answers; failed writes were reported by the sync before.
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        // A mapping that somebody still reads keeps the open file, and with it the lock, beyond the descriptor.
        _ = flock(openDescriptor, LOCK_UN)
        Glibc.close(openDescriptor)
    }

    func size() throws(DiskError) -> Int {
        var status = stat()
        let descriptor = descriptor
        try retryingInterrupts(CallSite("stat", path)) { fstat(descriptor, &status) }
        return Int(status.st_size)
    }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
        let descriptor = descriptor
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = try retryingInterrupts(CallSite("read", path, offset: offset + done)) {
                pread(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
        let descriptor = descriptor
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = try retryingInterrupts(CallSite("write", path, offset: offset + done)) {
                pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
            }
            // A device that takes nothing and names no reason would be asked for ever.
            if count == 0 { throw CallSite("write", path, offset: offset + done).failure(EIO) }
            done += count
        }
    }

    func setSize(_ size: Int) throws(DiskError) {
        let descriptor = descriptor
        try retryingInterrupts(CallSite("truncate", path, offset: size)) { ftruncate(descriptor, off_t(size)) }
    }

    func preallocate(_ size: Int) throws(DiskError) {
        guard size > 0 else { return }
        let descriptor = descriptor
        // Some environments interrupt every long allocation, so that trying again would never end.
        for _ in 0..<maximumInterruptions {
            // Where the file system cannot allocate, glibc writes into every block instead.
            let code = posix_fallocate(descriptor, 0, off_t(size))
            if code == 0 { return }
            if code != EINTR { throw CallSite("preallocate", path, offset: size).failure(code) }
        }
        if try self.size() < size { try setSize(size) }
    }

    func syncData() throws(DiskError) {
        let descriptor = descriptor
        try retryingInterrupts(CallSite("fdatasync", path)) { fdatasync(descriptor) }
    }

    func sync() throws(DiskError) {
        let descriptor = descriptor
        try retryingInterrupts(CallSite("fsync", path)) { fsync(descriptor) }
    }

    func writeBack(_ range: Range<Int>, waits: Bool) throws(DiskError) {
        let descriptor = descriptor
        do throws(DiskError) {
            try retryingInterrupts(CallSite("sync_file_range", path, offset: range.lowerBound)) {
                clinux_write_back(descriptor, range.lowerBound, range.count, waits ? 1 : 0)
            }
        } catch  where error.code == ENOSYS || error.code == ESPIPE {
            // Kernels and file systems without it write when they like.
        }
    }

    func tryLock(_ kind: FileLock) throws(DiskError) -> Bool {
        let descriptor = descriptor
        do {
            switch kind {
            case .flockShared: try retryingInterrupts(CallSite("lock", path)) { flock(descriptor, LOCK_SH | LOCK_NB) }
            case .flockExclusive: try retryingInterrupts(CallSite("lock", path)) { flock(descriptor, LOCK_EX | LOCK_NB) }
            case .openFileDescription: try lockOpenFileDescription(descriptor)
            }
            return true
        } catch  where error.code == EWOULDBLOCK || error.code == EACCES {
            return false
        }
    }

    /// A write lock over the whole file and all it may grow to (start 0, length 0), which is the range etcd's members lock.
    private func lockOpenFileDescription(_ descriptor: Int32) throws(DiskError) {
        var range = Glibc.flock()
        range.l_type = Int16(F_WRLCK)
        range.l_whence = Int16(SEEK_SET)
        try retryingInterrupts(CallSite("lock", path)) { fcntl(descriptor, setOpenFileDescriptionLock, &range) }
    }

    func map(capacity: Int) throws(DiskError) -> (any FileMapping)? {
        try LinuxFileMapping(path: path, descriptor: descriptor, capacity: capacity)
    }
}

private let maximumInterruptions = 16

/// `F_OFD_SETLK` of `<fcntl.h>`, which Swift's import of glibc hides.
private let setOpenFileDescriptionLock: Int32 = 37
