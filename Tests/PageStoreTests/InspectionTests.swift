import Host
import Simulation
import Testing

@testable import PageStore

/// What check, the page list, statistics and dumps say.
@Suite struct InspectionTests {
    private static let path = "/db"

    /// A bucket with two levels of pages, an inline bucket, and a value with overflow pages.
    private func sample(writesFreeList: Bool = false) throws -> FaultyDisk {
        let disk = FaultyDisk()
        var options = PageFileOptions()
        options.pageSize = 1024
        options.growthStep = 1024
        options.writesFreeList = writesFreeList
        let file = try PageFile.open(disk: disk, path: InspectionTests.path, options: options)
        let transaction = try file.beginWrite()
        let key = try transaction.createBucketIfMissing(Array("key".utf8))
        for number in 0..<40 as Range<UInt64> { try key.appendPut(revisionKey(number), [UInt8](repeating: 1, count: 50)) }
        let big = try transaction.createBucketIfMissing(Array("big".utf8))
        try big.put(Array("long".utf8), [UInt8](repeating: 2, count: 2500))
        let small = try transaction.createBucketIfMissing(Array("small".utf8))
        try small.put(Array("name".utf8), Array("value".utf8))
        small.sequence = 7
        try transaction.commit()
        return disk
    }

    private func read(_ disk: FaultyDisk) throws -> ReadTransaction {
        var options = PageFileOptions()
        options.isReadOnly = true
        return try PageFile.open(disk: disk, path: InspectionTests.path, options: options).beginRead()
    }

    /// The problems after `change` to the file's bytes.
    private func problems(writesFreeList: Bool = false, _ change: (inout [UInt8], ReadTransaction) throws -> Void) throws
        -> [CheckProblem]
    {
        let disk = try sample(writesFreeList: writesFreeList)
        var bytes = try #require(disk.contents(InspectionTests.path))
        do { try change(&bytes, try read(disk)) }
        disk.setContents(InspectionTests.path, bytes)
        return try read(disk).check().problems
    }

    private func root(_ name: String, _ reader: ReadTransaction) throws -> PageID {
        try #require(try reader.bucket(Array(name.utf8))).header.root
    }

    @Test func whatCheckFinds() throws {
        #expect(try problems { _, _ in }.isEmpty)
        var page: PageID = 0
        #expect(
            try problems { bytes, _ in bytes[1024 + 72] ^= 1 } == [CheckProblem(page: 1, kind: .meta(.wrongChecksum))])
        var found = try problems { bytes, reader in
            page = try root("big", reader)
            bytes[Int(page) * 1024 + 12] = 1
        }
        #expect(found.contains(CheckProblem(page: page, kind: .corrupt(.elementOutsidePage(index: 0)))))
        found = try problems { bytes, reader in
            page = try root("key", reader)
            // The branch's second child becomes its first one's page.
            for index in 0..<8 { bytes[Int(page) * 1024 + 40 + index] = bytes[Int(page) * 1024 + 24 + index] }
            page = PageID(bytes[Int(page) * 1024 + 24])
        }
        #expect(found == [CheckProblem(page: page, kind: .corrupt(.referencedTwice))])
        found = try problems { bytes, reader in
            let branch = try root("key", reader)
            page = PageID(bytes[Int(branch) * 1024 + 24])
            let element = Int(page) * 1024 + 16
            let key = element + Int(bytes[element + 4]) + Int(bytes[element + 5]) << 8
            bytes[key] = 0xff
        }
        #expect(found.contains(CheckProblem(page: page, kind: .corrupt(.keysOutOfOrder))))
        #expect(found.contains(CheckProblem(page: page, kind: .keyOutsideRange(index: 0))))
    }

    @Test func whatCheckFindsInAFreeList() throws {
        #expect(try problems(writesFreeList: true) { _, _ in }.isEmpty)
        var page: PageID = 0
        var listed: PageID = 0
        let found = try problems(writesFreeList: true) { bytes, reader in
            page = try root("big", reader)
            let list = Int(reader.meta.freeList) * 1024
            listed = PageID(bytes[list + 16])
            bytes[list + 16] = UInt8(page)
        }
        #expect(found.contains(CheckProblem(page: page, kind: .reachableYetFree)))
        #expect(found.contains(CheckProblem(page: listed, kind: .unreachableNotFree)))
        let beyond = try problems(writesFreeList: true) { bytes, reader in
            bytes[Int(reader.meta.freeList) * 1024 + 17] = 0x77
        }
        #expect(beyond.contains { $0.kind == .freePageOutOfRange })
    }

    @Test func problemsAreCountedButNotAllKept() throws {
        let disk = try sample()
        var bytes = try #require(disk.contents(InspectionTests.path))
        for page in 2..<bytes.count / 1024 { bytes[page * 1024] ^= 0x40 }
        disk.setContents(InspectionTests.path, bytes)
        let report = try read(disk).check(problemLimit: 0)
        #expect(report.problemCount > 0 && report.problems.isEmpty && !report.isSound)
        #expect(report.description.contains("more problems"))
    }

    @Test func thePageList() throws {
        let reader = try read(try sample())
        var list = try PageList(reader)
        var pages: [PageInfo] = []
        while let page = try list.nextPage() { pages.append(page) }
        #expect(pages.map(\.kind).prefix(2) == [.meta, .meta])
        #expect(pages.filter { $0.kind == .branch }.map(\.items) == [try reader.statistics()[2].leafPages])
        let long = try #require(pages.first { $0.overflow > 0 })
        #expect(long == PageInfo(id: try root("big", reader), kind: .leaf, items: 1, overflow: 2))
        #expect(long.description.split(separator: " ") == [Substring(String(long.id)), "leaf", "1", "2"])
        #expect(pages.reduce(0) { $0 + 1 + $1.overflow } == Int(reader.meta.highWater))
        #expect(pages.filter { $0.kind == .free }.count == (try reader.check().freePages))
    }

    @Test func statistics() throws {
        let figures = try read(try sample()).statistics()
        #expect(figures.map(\.name) == [[], [Array("big".utf8)], [Array("key".utf8)], [Array("small".utf8)]])
        #expect(figures[0].bucketsInside == 3 && figures[0].depth == 1)
        #expect(figures[1].leafPages == 1 && figures[1].leafOverflowPages == 2 && figures[1].leafBytes == 16 + 16 + 4 + 2500)
        #expect(figures[2].keys == 40 && figures[2].depth == 2 && figures[2].branchPages == 1)
        #expect(figures[2].leafBytes == figures[2].leafPages * 16 + 40 * (16 + 17 + 50))
        #expect(figures[3].isInline && figures[3].description == "small: inline, 1 keys, 41 bytes")
    }

    @Test func dumps() throws {
        let reader = try read(try sample())
        let meta = try reader.dump(page: 0)
        #expect(
            meta.content
                == .meta(
                    pageSize: 1024, root: reader.meta.root, sequence: 0, freeList: nil, highWater: reader.meta.highWater,
                    transaction: 2))
        let leaf = try reader.dump(page: try root("big", reader))
        #expect(
            leaf.content
                == .leaf([
                    PageDump.Element(
                        key: Array("long".utf8), value: [UInt8](repeating: 2, count: 2500), isBucket: false, child: nil)
                ]))
        #expect(leaf.description.contains("long = 0x02") && leaf.description.contains("(2500 bytes)"))
        let branch = try reader.dump(page: try root("key", reader))
        guard case .branch(let elements) = branch.content else {
            Issue.record("\(branch)")
            return
        }
        #expect(elements[0].key == revisionKey(0) && elements.allSatisfy { $0.child != nil })
        let root = try reader.dump(page: reader.meta.root)
        #expect(root.description.contains("small = bucket 0x0000000000000000"))
        // The middle of a value is no page.
        let middle = try reader.dump(page: try self.root("big", reader) + 1)
        #expect(middle.content == .unreadable(.wrongKind(flags: 0x0202)))
        #expect(throws: PageFileError(path: "/db", page: reader.meta.highWater, reason: .pageOutOfRange)) {
            try reader.dump(page: reader.meta.highWater)
        }
    }
}
