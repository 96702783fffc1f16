import Glibc
import Synchronization

/// The address ranges of all mapped files, readable inside a signal handler: no lock, no allocation, no reference counting.
///
/// `@unchecked Sendable`: the slots live as long as the process; `base` and `count` are atomics, and `path` is written only
/// by the thread that claimed the slot (`claimed` false to true) before `base` is published, and freed only after it is withdrawn.
final class MappedRanges: @unchecked Sendable {
    static let shared = MappedRanges()
    /// How many files may be mapped at a time.
    static let limit = 1024

    private struct Slot: ~Copyable {
        let claimed = Atomic<Bool>(false)
        /// 0 while nothing is registered.
        let base = Atomic<UInt>(0)
        let count = Atomic<UInt>(0)
        var path: UnsafeMutablePointer<CChar>?
    }

    struct Registration {
        fileprivate let index: Int
    }

    private let slots: UnsafeMutablePointer<Slot>

    private init() {
        slots = UnsafeMutablePointer<Slot>.allocate(capacity: Self.limit)
        for index in 0..<Self.limit { (slots + index).initialize(to: Slot()) }
    }

    /// Nil when all slots are taken.
    func register(_ address: UnsafeMutableRawPointer, count: Int, path: String) -> Registration? {
        for index in 0..<Self.limit {
            let (claimed, _) = slots[index].claimed.compareExchange(
                expected: false, desired: true, ordering: .acquiringAndReleasing)
            guard claimed else { continue }
            slots[index].path = strdup(path)
            slots[index].count.store(UInt(count), ordering: .releasing)
            slots[index].base.store(UInt(bitPattern: address), ordering: .releasing)
            return Registration(index: index)
        }
        return nil
    }

    func remove(_ registration: Registration) {
        let index = registration.index
        slots[index].base.store(0, ordering: .sequentiallyConsistent)
        free(slots[index].path)
        slots[index].path = nil
        slots[index].claimed.store(false, ordering: .releasing)
    }

    /// The file mapped at an address and the offset in it. Safe in a signal handler for a fault at that address:
    /// whoever touches a mapping keeps it alive, so the slot found cannot be withdrawn meanwhile.
    func find(_ address: UInt) -> (path: UnsafePointer<CChar>?, offset: UInt)? {
        for index in 0..<Self.limit {
            let base = slots[index].base.load(ordering: .acquiring)
            guard base != 0, address >= base else { continue }
            let count = slots[index].count.load(ordering: .acquiring)
            // Read again: the slot may have gone to another file between the two loads.
            guard address - base < count, slots[index].base.load(ordering: .acquiring) == base else { continue }
            return (UnsafePointer(slots[index].path), address - base)
        }
        return nil
    }
}
