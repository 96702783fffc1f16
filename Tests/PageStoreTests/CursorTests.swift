import Host
import Simulation
import Testing

@testable import PageStore

/// Lookups from wherever the cursor stands, and the shortcut for revisions.
@Suite struct CursorTests {
    private func bucket(_ keys: [[UInt8]], valueSize: Int = 60) throws -> (ReadTransaction, Bucket) {
        var options = PageFileOptions()
        options.pageSize = 1024
        let file = try PageFile.open(disk: FaultyDisk(), path: "/db", options: options)
        let transaction = try file.beginWrite()
        let bucket = try transaction.createBucketIfMissing([1])
        for key in keys { try bucket.put(key, key + [UInt8](repeating: 9, count: valueSize)) }
        try transaction.commit()
        let reader = try file.beginRead()
        return (reader, try #require(try reader.bucket([1])))
    }

    /// Each lookup is compared with a search in the sorted keys, whatever the lookup before it was.
    private func compare(_ keys: [[UInt8]], wanted: [(UInt64, UInt64)], _ note: String) throws {
        let sorted = keys.sorted { $0.lexicographicallyPrecedes($1) }
        let (reader, bucket) = try bucket(keys)
        var cursor = bucket.cursor()
        for (main, sub) in wanted {
            let key = revisionKey(main, sub: sub)
            let expected = sorted.first { !$0.lexicographicallyPrecedes(key) }
            #expect(try cursor.findRevision(main: main, sub: sub) == (expected == key), "\(note): \(main)_\(sub)")
            #expect(cursor.isValid == (expected == key))
            #expect(try cursor.seekRevision(main: main, sub: sub) == (expected != nil), "\(note): \(main)_\(sub)")
            if let expected { #expect(cursor.key.elementsEqual(expected) && cursor.value.starts(with: expected), "\(note)") }
            #expect(try cursor.find(key) == (expected == key), "\(note): \(main)_\(sub)")
        }
        withExtendedLifetime(reader) {}
    }

    @Test func revisions() throws {
        var random = SeededRandom(seed: 4)
        // Dense, sparse and lopsided; with sub revisions and tombstones, whose keys are one byte longer.
        for (name, spacing) in [("dense", UInt64(1)), ("sparse", 1000), ("lopsided", 0)] {
            var main: UInt64 = 3
            var keys: [[UInt8]] = []
            var mains: [UInt64] = []
            for _ in 0..<700 {
                main += spacing == 0 ? (random.next() % 10 == 0 ? random.next() % 1_000_000 : 1) : 1 + random.next() % spacing
                mains.append(main)
                keys.append(revisionKey(main, sub: 0) + (random.next() % 9 == 0 ? [UInt8(ascii: "t")] : []))
                if random.next() % 5 == 0 { keys.append(revisionKey(main, sub: 1)) }
            }
            var wanted = mains.filter { _ in random.next() % 4 == 0 }.map { ($0, UInt64(0)) }
            for _ in 0..<300 {
                let near = mains[Int(random.next() % UInt64(mains.count))]
                wanted.append((near &+ random.next() % 3 &- 1, random.next() % 3))
            }
            wanted += [(0, 0), (UInt64.max, UInt64.max), (main, 0), (main + 1, 0), (mains[0], 0)]
            try compare(keys, wanted: wanted, "\(name), seed 4")
        }
    }

    @Test func revisionsAmongOtherKeys() throws {
        let others: [[UInt8]] = [[0], [0, 0, 0, 0, 0, 0, 0, 9], [0, 0, 0, 0, 0, 0, 0, 9, 0x5e], [255], Array("text".utf8)]
        let keys = others + (5..<60 as Range<UInt64>).map { revisionKey($0) } + [revisionKey(9).dropLast() + [1, 1, 1]]
        try compare(keys, wanted: (0..<70).map { ($0, 0) } + [(9, 1), (9, UInt64.max)], "mixed")
    }

    @Test func emptyAndTinyBuckets() throws {
        try compare([], wanted: [(1, 0), (2, 0)], "empty")
        try compare([revisionKey(5)], wanted: [(4, 0), (5, 0), (6, 0), (5, 1)], "one")
        let (reader, empty) = try bucket([])
        var cursor = empty.cursor()
        #expect(try !cursor.first() && !cursor.last() && !cursor.next() && !cursor.previous() && !cursor.isValid)
        withExtendedLifetime(reader) {}
    }

    @Test func aCursorGoesBothWaysFromWhereItStands() throws {
        let keys = (0..<500 as Range<UInt64>).map { revisionKey($0 * 2) }
        let (reader, bucket) = try bucket(keys)
        var cursor = bucket.cursor()
        var random = SeededRandom(seed: 12)
        var place = 0
        #expect(try cursor.first())
        for _ in 0..<3000 {
            switch random.next() % 4 {
            case 0 where place + 1 < keys.count:
                #expect(try cursor.next())
                place += 1
            case 1 where place > 0:
                #expect(try cursor.previous())
                place -= 1
            case 2:
                place = Int(random.next() % UInt64(keys.count))
                #expect(try cursor.seekRevision(main: UInt64(place) * 2, sub: 0))
            case 3 where place + 1 < keys.count:
                #expect(try !cursor.findRevision(main: UInt64(place) * 2 + 1, sub: 0))
                place += 1
                #expect(try cursor.seekRevision(main: UInt64(place) * 2 - 1, sub: 3))
            default: break
            }
            if !cursor.key.elementsEqual(keys[place]) { Issue.record("seed 12: not at \(place)") }
        }
        withExtendedLifetime(reader) {}
    }
}
