import Host
import LinuxHost
import Simulation
import Testing

@testable import PageStore

/// Files that etcd 3.4.23 and 3.5.30 wrote: five or sixty puts, a deletion, a lease with a key, and in the second a long value.
@Suite struct EtcdFileTests {
    private static let names = [
        "alarm", "auth", "authRoles", "authUsers", "cluster", "key", "lease", "members", "members_removed", "meta",
    ]

    private func fixture(_ name: String, sourceFile: String = #filePath) throws -> FaultyDisk {
        let directory = sourceFile[..<(sourceFile.lastIndex(of: "/") ?? sourceFile.endIndex)]
        let file = try LinuxDisk().open("\(directory)/Fixtures/\(name)", .readOnly)
        var bytes = [UInt8](repeating: 0, count: try file.size())
        let read = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
        file.close()
        #expect(read == bytes.count)
        let disk = FaultyDisk()
        disk.setContents("/db", bytes)
        return disk
    }

    @Test(arguments: [("etcd-3.4.23.db", 5, 12), ("etcd-3.5.30.db", 60, 70)])
    func reading(_ name: String, puts: Int, keys: Int) throws {
        let file = try PageFile.open(disk: try fixture(name), path: "/db")
        let reader = try file.beginRead()
        let report = try reader.check()
        #expect(report.isSound && report.keys == keys && report.buckets == 10 && !report.hasFreeList, "\(report)")
        #expect(try content(reader.root).names == EtcdFileTests.names.map { Array($0.utf8) })
        let bucket = try #require(try reader.bucket(Array("key".utf8)))
        var cursor = bucket.cursor()
        // etcd's first revision is 2. A stored value is an mvccpb.KeyValue, which begins with field 1, the key.
        for put in 1...puts {
            let key = Array("key\(put)".utf8)
            #expect(try cursor.findRevision(main: UInt64(put + 1), sub: 0))
            #expect(cursor.value.starts(with: [0x0a, UInt8(key.count)] + key), "put \(put)")
        }
        #expect(try !cursor.findRevision(main: UInt64(puts + 2), sub: 0))
        // The deletion of key3 is a tombstone: its key ends in "t".
        #expect(try cursor.seekRevision(main: UInt64(puts + 2), sub: 0))
        #expect(cursor.key.elementsEqual(revisionKey(UInt64(puts + 2)) + [UInt8(ascii: "t")]))
        #expect(try cursor.next() && cursor.value.starts(with: [0x0a, 6] + Array("leased".utf8)))
        #expect(try cursor.next() == (puts > 30))
        if puts > 30 { #expect(cursor.value.count > 5000) }
        let members = try #require(try reader.bucket(Array("members".utf8))).cursor()
        var member = members
        #expect(try member.first() && member.value.starts(with: Array(#"{"id":"#.utf8)))
    }

    @Test(arguments: ["etcd-3.4.23.db", "etcd-3.5.30.db"])
    func writing(_ name: String) throws {
        let disk = try fixture(name)
        let file = try PageFile.open(disk: disk, path: "/db")
        var model = try content(try file.beginRead().root)
        for main in 1000..<1400 as Range<UInt64> {
            let transaction = try file.beginWrite()
            let value = [UInt8](repeating: 5, count: 200)
            try #require(try transaction.bucket(Array("key".utf8))).appendPut(revisionKey(main), value)
            try #require(try transaction.bucket(Array("meta".utf8))).put(Array("consistent_index".utf8), revisionKey(main))
            model.buckets[Array("key".utf8)]!.keys[revisionKey(main)] = value
            model.buckets[Array("meta".utf8)]!.keys[Array("consistent_index".utf8)] = revisionKey(main)
            try transaction.commit()
        }
        let reader = try file.beginRead()
        try expectEqual(reader.root, model, name)
        let report = try reader.check()
        #expect(report.isSound && !report.hasFreeList, "\(report)")
    }
}
