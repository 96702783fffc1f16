import CNGHTTP2
import Testing

@testable import HTTP2

struct LibraryMemoryTests {
    private let memory = LibraryMemory()

    private func allocate(_ size: Int) -> UnsafeMutableRawPointer {
        memory.functions.pointee.malloc(size, memory.functions.pointee.mem_user_data)!
    }

    private func release(_ block: UnsafeMutableRawPointer?) {
        memory.functions.pointee.free(block, memory.functions.pointee.mem_user_data)
    }

    private func resize(_ block: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer? {
        memory.functions.pointee.realloc(block, size, memory.functions.pointee.mem_user_data)
    }

    /// Fills a block with a pattern of its own.
    private func fill(_ block: UnsafeMutableRawPointer, _ size: Int, _ seed: Int) {
        for index in 0..<size {
            block.storeBytes(of: UInt8(truncatingIfNeeded: seed &+ index), toByteOffset: index, as: UInt8.self)
        }
    }

    private func holds(_ block: UnsafeMutableRawPointer, _ size: Int, _ seed: Int) -> Bool {
        (0..<size).allSatisfy { block.load(fromByteOffset: $0, as: UInt8.self) == UInt8(truncatingIfNeeded: seed &+ $0) }
    }

    @Test func aFreeBlockServesTheNextOfItsSize() {
        let first = allocate(100)
        release(first)
        #expect(allocate(97) == first)
        #expect(allocate(97) != first)
        #expect(Int(bitPattern: first) % 16 == 0)
    }

    @Test func blocksOfAllSizesKeepWhatIsInThem() {
        let sizes = Array(0...80) + [127, 128, 129, 1_023, 1_024, 1_025, 5_000]
        for _ in 0..<3 {
            let blocks = sizes.map { allocate($0) }
            for (index, block) in blocks.enumerated() { fill(block, sizes[index], index) }
            for (index, block) in blocks.enumerated() { #expect(holds(block, sizes[index], index)) }
            for block in blocks { release(block) }
        }
    }

    @Test func aBlockGrowsWithWhatIsInIt() {
        var block = resize(nil, 10)!
        fill(block, 10, 7)
        for size in [20, 32, 33, 200, 1_024, 1_025, 4_000] {
            block = resize(block, size)!
            #expect(holds(block, 10, 7))
            fill(block, size, 7)
        }
        release(block)
    }

    @Test func memoryIsClearedWhereThatIsAskedFor() {
        let used = allocate(64)
        fill(used, 64, 1)
        release(used)
        let cleared = memory.functions.pointee.calloc(4, 16, memory.functions.pointee.mem_user_data)!
        #expect(cleared == used)
        #expect((0..<64).allSatisfy { cleared.load(fromByteOffset: $0, as: UInt8.self) == 0 })
        #expect(memory.functions.pointee.calloc(.max, 2, memory.functions.pointee.mem_user_data) == nil)
    }

    @Test func whatIsTooMuchIsGivenBack() {
        let blocks = (0..<2_048).map { _ in allocate(1_024) }
        for block in blocks { release(block) }
        #expect(memory.keptBytes == LibraryMemory.mostKeptBytes)
        release(nil)
    }
}
