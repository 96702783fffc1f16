import CNGHTTP2
import Glibc

/// The memory of libnghttp2's sessions on one event loop: free blocks are kept by size and used again, last in first out.
///
/// A request costs the library a dozen small blocks that live as long as its stream. The C library keeps seven free blocks of a size at
/// hand, and goes the long way for what more there is in a burst. Confined to its loop, like the sessions; they hold it until they are gone.
final class LibraryMemory {
    /// Blocks come in multiples of so many bytes.
    private static let step = 32
    /// Larger blocks come from the C library, and go back to it.
    private static let largest = 1_024
    /// Free blocks of all sizes together keep no more than this.
    static let mostKeptBytes = 1 << 20
    /// Before every block: how large it is. As much as keeps the block aligned for everything.
    private static let prefix = 16

    private struct FreeBlock { var next: UnsafeMutableRawPointer? }

    /// By size in steps; index 0 is not used.
    private let free: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private(set) var keptBytes = 0
    /// What libnghttp2 is handed; its functions find this object by `mem_user_data`.
    let functions: UnsafeMutablePointer<nghttp2_mem>

    init() {
        free = .allocate(capacity: Self.largest / Self.step + 1)
        free.initialize(repeating: nil, count: Self.largest / Self.step + 1)
        functions = .allocate(capacity: 1)
        functions.initialize(to: nghttp2_mem())
        functions.pointee.mem_user_data = Unmanaged.passUnretained(self).toOpaque()
        functions.pointee.malloc = { size, memory in withMemory(memory) { $0.allocate(size) } }
        functions.pointee.free = { block, memory in withMemory(memory) { $0.release(block) } }
        functions.pointee.calloc = { count, size, memory in withMemory(memory) { $0.allocateZeroed(count, size) } }
        functions.pointee.realloc = { block, size, memory in withMemory(memory) { $0.resize(block, size) } }
    }

    deinit {
        for index in 0...Self.largest / Self.step {
            while let block = takeFree(index) { Glibc.free(block - Self.prefix) }
        }
        free.deallocate()
        functions.deallocate()
    }

    private func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        let index = (size + Self.step - 1) / Self.step
        if size <= Self.largest, let block = takeFree(index) {
            keptBytes -= index * Self.step
            return block
        }
        let room = size <= Self.largest ? index * Self.step : size
        guard let start = Glibc.malloc(room + Self.prefix) else { return nil }
        start.storeBytes(of: room, as: Int.self)
        return start + Self.prefix
    }

    private func takeFree(_ index: Int) -> UnsafeMutableRawPointer? {
        guard let block = free[index] else { return nil }
        free[index] = block.load(as: FreeBlock.self).next
        return block
    }

    private func release(_ block: UnsafeMutableRawPointer?) {
        guard let block else { return }
        let room = Self.room(of: block)
        guard room <= Self.largest, room > 0, keptBytes + room <= Self.mostKeptBytes else {
            return Glibc.free(block - Self.prefix)
        }
        let index = room / Self.step
        block.storeBytes(of: FreeBlock(next: free[index]), as: FreeBlock.self)
        free[index] = block
        keptBytes += room
    }

    private func allocateZeroed(_ count: Int, _ size: Int) -> UnsafeMutableRawPointer? {
        let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow, let block = allocate(bytes) else { return nil }
        memset(block, 0, bytes)
        return block
    }

    private func resize(_ block: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer? {
        guard let block else { return allocate(size) }
        let room = Self.room(of: block)
        if size <= room { return block }
        guard let moved = allocate(size) else { return nil }
        memcpy(moved, block, room)
        release(block)
        return moved
    }

    private static func room(of block: UnsafeMutableRawPointer) -> Int { (block - prefix).load(as: Int.self) }
}

/// The memory behind libnghttp2's user data, without a retain: the session that makes the call holds it.
private func withMemory<R>(_ pointer: UnsafeMutableRawPointer?, _ body: (LibraryMemory) -> R) -> R {
    Unmanaged<LibraryMemory>.fromOpaque(pointer!)._withUnsafeGuaranteedRef(body)
}
