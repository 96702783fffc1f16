import Glibc
import Host

/// A shared read-only mapping. Address space past the end of the file is reserved: it becomes readable as the file grows.
///
/// `@unchecked Sendable`: `base` and `capacity` never change, the mapped bytes are only read through it,
/// and the range is unmapped in `deinit`, when no other thread can hold the object.
final class LinuxFileMapping: FileMapping, @unchecked Sendable {
    let base: UnsafeRawPointer
    let capacity: Int
    private let registration: MappedRanges.Registration

    init(path: String, descriptor: Int32, capacity: Int) throws(DiskError) {
        let site = CallSite("map", path)
        let address = mmap(nil, capacity, PROT_READ, MAP_SHARED | MAP_NORESERVE, descriptor, 0)
        guard let address, address != MAP_FAILED else { throw site.failure(errno) }
        // Lookups jump about in the tree: read-ahead would only push other pages out.
        if madvise(address, capacity, MADV_RANDOM) != 0, errno != ENOSYS {
            let code = errno
            munmap(address, capacity)
            throw site.failure(code)
        }
        guard let registration = MappedRanges.shared.register(address, count: capacity, path: path) else {
            munmap(address, capacity)
            throw DiskError(operation: "map", path: path, code: ENOMEM, reason: "\(MappedRanges.limit) files are mapped already")
        }
        self.registration = registration
        self.capacity = capacity
        base = UnsafeRawPointer(address)
    }

    func letGo(of range: Range<Int>) {
        let range = range.clamped(to: 0..<capacity)
        // The kernel's cache keeps the pages. Where the advice is not taken, so does the process.
        if !range.isEmpty { madvise(UnsafeMutableRawPointer(mutating: base + range.lowerBound), range.count, MADV_DONTNEED) }
    }

    deinit {
        MappedRanges.shared.remove(registration)
        munmap(UnsafeMutableRawPointer(mutating: base), capacity)
    }
}
