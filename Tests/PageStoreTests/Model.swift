import Host
import Testing

@testable import PageStore

/// What a bucket should hold.
struct ModelBucket: Equatable {
    var keys: [[UInt8]: [UInt8]] = [:]
    var buckets: [[UInt8]: ModelBucket] = [:]
    var sequence: UInt64 = 0

    /// All names in order: keys and buckets.
    var names: [[UInt8]] { (Array(keys.keys) + Array(buckets.keys)).sorted { $0.lexicographicallyPrecedes($1) } }
}

/// Compares a bucket with its model: forwards, backwards and by lookup.
func expectEqual(_ bucket: Bucket, _ model: ModelBucket, _ note: String) throws {
    let names = model.names
    var cursor = bucket.cursor()
    var stands = try cursor.first()
    for name in names {
        guard stands, cursor.key.elementsEqual(name) else {
            Issue.record("\(note): \(name) is missing")
            return
        }
        if let inside = model.buckets[name] {
            #expect(cursor.isBucket, "\(note)")
            try expectEqual(try bucket.bucket(at: cursor), inside, note)
        } else {
            #expect(!cursor.isBucket && cursor.value.elementsEqual(model.keys[name]!), "\(note): value of \(name)")
        }
        stands = try cursor.next()
    }
    #expect(!stands, "\(note): more entries than there should be")
    stands = try cursor.last()
    for name in names.reversed() {
        #expect(stands && cursor.key.elementsEqual(name), "\(note): backwards at \(name)")
        stands = try cursor.previous()
    }
    #expect(!stands && bucket.sequence == model.sequence, "\(note)")
    var lookup = bucket.cursor()
    for (index, name) in names.enumerated() where index % 3 == 0 {
        #expect(try lookup.find(name), "\(note): find \(name)")
        var after = name
        after.append(0)
        let next = index + 1 < names.count ? names[index + 1] : nil
        if next != after { #expect(try !lookup.find(after), "\(note)") }
        #expect(try lookup.seek(after) == (next != nil), "\(note)")
        if let next { #expect(lookup.key.elementsEqual(next), "\(note): seek after \(name)") }
    }
}

extension PageFile {
    /// Whether the pages known to be in use are just those that the current state reaches.
    func expectFreeSpaceAgrees(_ note: String) throws {
        let transaction = try beginRead()
        let used = try PageFile.scan(source: transaction.source, current: transaction.meta, older: nil).free
        state.withLock { state in
            for page in 2..<transaction.meta.highWater {
                #expect(state.freeSpace?.unused[page] == used[page], "\(note): page \(page)")
            }
            #expect(state.freeSpace?.unused.count == used.count, "\(note)")
        }
    }
}

/// Random changes applied to a write transaction and to its model alike.
struct RandomChanges {
    var random: SeededRandom
    /// Values of several pages are among what is written.
    var longValues = true
    /// Answers are compared with the model; not so on files that may be damaged.
    var verifies = true
    private var counter: UInt64 = 0
    /// Keys put so far, in whatever bucket.
    private var written: [[UInt8]] = []

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

    mutating func bytes(_ count: Int) -> [UInt8] {
        let fill = UInt8(truncatingIfNeeded: random.next())
        return (0..<count).map { fill &+ UInt8(truncatingIfNeeded: $0) }
    }

    mutating func key() -> [UInt8] {
        let number = below(3000)
        let text = Array(String(number).utf8)
        return below(40) == 0 ? text + [UInt8](repeating: 0x2f, count: below(600)) : text
    }

    mutating func value() -> [UInt8] {
        switch below(60) {
        case 0: return bytes(longValues ? 5000 + below(9000) : 300)
        case 1...6: return bytes(300 + below(700))
        case 7...9: return []
        default: return bytes(below(60))
        }
    }

    mutating func change(_ bucket: WritableBucket, _ model: inout ModelBucket) throws {
        switch below(100) {
        case 0..<45:
            let (key, value) = (key(), value())
            if model.buckets[key] != nil { return }
            try bucket.put(key, value)
            model.keys[key] = value
            written.append(key)
        case 45..<60:
            counter += 1
            let key = [0xff] + (0..<8).map { UInt8(truncatingIfNeeded: counter >> (56 - 8 * $0)) }
            let value = value()
            try bucket.appendPut(key, value)
            model.keys[key] = value
        case 60..<85:
            let key = written.isEmpty || below(4) == 0 ? key() : written[below(written.count)]
            if model.buckets[key] != nil { return }
            let wasThere = model.keys.removeValue(forKey: key) != nil
            let deleted = try bucket.delete(key)
            if verifies { #expect(deleted == wasThere) }
        case 85..<87: try deleteRange(bucket, &model)
        case 87..<97:
            let key = key()
            let value = try bucket.value(key).map(Array.init)
            if verifies { #expect(value == model.keys[key]) }
        default:
            bucket.sequence = random.next()
            model.sequence = bucket.sequence
        }
    }

    /// Deletes a stretch of keys while a cursor walks over it.
    private mutating func deleteRange(_ bucket: WritableBucket, _ model: inout ModelBucket) throws {
        let start = key()
        var left = below(120)
        var cursor = bucket.cursor()
        var stands = try cursor.seek(start)
        let expected = model.names.filter { !$0.lexicographicallyPrecedes(start) }
        var index = 0
        while stands && left > 0 {
            let name = Array(cursor.key)
            if verifies { #expect(name == expected[index]) }
            if !cursor.isBucket {
                try bucket.delete(name)
                model.keys[name] = nil
            }
            index += 1
            left -= 1
            stands = try cursor.next()
        }
    }

    /// Changes to buckets themselves, or to keys of a bucket, one level deep.
    mutating func change(_ transaction: WriteTransaction, _ model: inout ModelBucket) throws {
        let name = Array("bucket\(below(6))".utf8)
        switch below(200) {
        case 0 where model.buckets[name] != nil:
            try transaction.deleteBucket(name)
            model.buckets[name] = nil
        case 1..<4 where model.buckets[name] != nil:
            let inner = Array("inner\(below(2))".utf8)
            let outer = try transaction.bucket(name)!
            if model.buckets[name]!.buckets[inner] != nil, below(3) == 0 {
                try outer.deleteBucket(inner)
                model.buckets[name]!.buckets[inner] = nil
            } else {
                let bucket = try outer.createBucketIfMissing(inner)
                var changed = model.buckets[name]!.buckets[inner] ?? ModelBucket()
                for _ in 0..<below(60) { try change(bucket, &changed) }
                model.buckets[name]!.buckets[inner] = changed
            }
        default:
            let bucket = try transaction.createBucketIfMissing(name)
            var changed = model.buckets[name] ?? ModelBucket()
            try change(bucket, &changed)
            model.buckets[name] = changed
        }
    }
}
