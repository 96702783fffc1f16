import Glibc
import Host
import LinuxHost
import PageStore

/// Times the page file with keys like those of etcd's `key` bucket: 17-byte revisions with values of 280 bytes. Prints one line for
/// each figure. Writing is given as CPU time of the process, so that waiting for the disk does not count.
///
/// The file is made in `TMPDIR`, or `/tmp`, and removed afterwards.
func runPageFileBenchmark() {
    let benchmark = PageFileBenchmark()
    do {
        try benchmark.run()
    } catch {
        print("page file: \(error)")
    }
}

private final class PageFileBenchmark {
    private let path: String
    private let copyPath: String
    private let disk = LinuxDisk()
    private var random = SeededRandom(seed: 1)
    private let bucketName = Array("key".utf8)
    private let key = UnsafeMutableRawBufferPointer.allocate(byteCount: 17, alignment: 8)
    private let value = UnsafeMutableRawBufferPointer.allocate(byteCount: 280, alignment: 8)
    private var written: UInt64 = 0

    init() {
        let directory = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        path = "\(directory)/page-file-benchmark.\(getpid())"
        copyPath = path + ".copy"
        value.initializeMemory(as: UInt8.self, repeating: 7)
        key.initializeMemory(as: UInt8.self, repeating: 0)
        key[8] = UInt8(ascii: "_")
    }

    deinit {
        unlink(path)
        unlink(copyPath)
        key.deallocate()
        value.deallocate()
    }

    func run() throws(PageFileError) {
        let file = try PageFile.open(disk: disk, path: path)
        try timeAppends(file, count: 10_000)
        try timeReads(try file.beginRead(), "mapped")
        try timeAppends(file, count: 90_000)
        try timeReads(try file.beginRead(), "mapped")
        try timeAppends(file, count: 900_000)
        try timeReads(try file.beginRead(), "mapped")
        try timeCopies(file)
        var options = PageFileOptions()
        options.access = .read
        options.isReadOnly = true
        try timeReads(try PageFile.open(disk: disk, path: copyPath, options: options).beginRead(), "read into memory")
        try timeSmallTransactions(file)
        try timeRandomPuts(file)
        try timeDeletes(file)
        file.close()
    }

    private func seconds(_ clock: clockid_t) -> Double {
        var now = timespec()
        clock_gettime(clock, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
    }

    private func report(
        _ what: String, count: Int, clock: clockid_t = CLOCK_PROCESS_CPUTIME_ID, _ body: () throws(PageFileError) -> Void
    ) throws(PageFileError) {
        let start = seconds(clock)
        try body()
        let each = (seconds(clock) - start) * 1e9 / Double(count)
        let name = "page file: " + what
        print(name + String(repeating: " ", count: max(72 - name.utf8.count, 1)) + "\((each * 10).rounded() / 10) ns")
    }

    private func must(_ condition: Bool) { precondition(condition, "the file does not hold what was written") }

    private func keyBytes(_ main: UInt64) -> UnsafeRawBufferPointer {
        key.storeBytes(of: main.bigEndian, as: UInt64.self)
        return UnsafeRawBufferPointer(key)
    }

    private func timeAppends(_ file: PageFile, count: Int) throws(PageFileError) {
        let smallKey = Array("consistent_index".utf8)
        try report("append, \(count) in transactions of 10000", count: count) {
            () throws(PageFileError) in
            for _ in 0..<count / 10_000 {
                let transaction = try file.beginWrite()
                let bucket = try transaction.createBucketIfMissing(bucketName)
                for small in ["alarm", "lease", "meta"] {
                    try transaction.createBucketIfMissing(Array(small.utf8)).put(smallKey, [0, 0, 0, 0, 0, 0, 0, 1])
                }
                for _ in 0..<10_000 {
                    written += 1
                    try bucket.appendPut(keyBytes(written), UnsafeRawBufferPointer(value))
                }
                try transaction.commit()
            }
        }
    }

    private func timeReads(_ reader: ReadTransaction, _ access: String) throws(PageFileError) {
        guard let bucket = try reader.bucket(bucketName) else { preconditionFailure("the bucket is missing") }
        let total = Int(written)
        var cursor = bucket.cursor()
        try report("walk over \(total), \(access)", count: total) { () throws(PageFileError) in
            var bytes = 0
            var stands = try cursor.first()
            while stands {
                bytes &+= cursor.key.count + cursor.value.count
                stands = try cursor.next()
            }
            precondition(bytes == total * (key.count + value.count))
        }
        try report("lookup of each revision of \(total) in turn, \(access)", count: total) { () throws(PageFileError) in
            for main in 1...UInt64(total) { must(try cursor.findRevision(main: main, sub: 0)) }
        }
        let wanted = (0..<200_000).map { _ in random.next() % UInt64(total) + 1 }
        try report("lookup of revisions of \(total) at random, \(access)", count: wanted.count) { () throws(PageFileError) in
            for main in wanted { must(try cursor.findRevision(main: main, sub: 0)) }
        }
        let ascending = wanted.sorted()
        try report("lookup of 200000 revisions of \(total), sorted, \(access)", count: wanted.count) { () throws(PageFileError) in
            for main in ascending { must(try cursor.findRevision(main: main, sub: 0)) }
        }
        try report("lookup of keys of \(total) at random, \(access)", count: wanted.count) { () throws(PageFileError) in
            for main in wanted { must(try cursor.find(keyBytes(main))) }
        }
        withExtendedLifetime(reader) {}
    }

    private func timeCopies(_ file: PageFile) throws(PageFileError) {
        let megabytes = file.space.size >> 20
        try report("snapshot, per MiB", count: megabytes) { () throws(PageFileError) in
            var stream = SnapshotStream(try file.beginRead(), chunkSize: 1 << 20)
            while try stream.next() != nil {}
        }
        try report("defragmentation, per MiB", count: megabytes) {
            () throws(PageFileError) in _ = try file.beginRead().defragment(into: copyPath, disk: disk)
        }
        try report("check, per key", count: Int(written)) { () throws(PageFileError) in
            must(try file.beginRead().check().isSound)
        }
        try report("begin and end of a read transaction", count: 100_000) { () throws(PageFileError) in
            for _ in 0..<100_000 { _ = try file.beginRead() }
        }
    }

    private func timeSmallTransactions(_ file: PageFile) throws(PageFileError) {
        try report("transaction of one append and one small put", count: 200) {
            () throws(PageFileError) in
            for _ in 0..<200 {
                let transaction = try file.beginWrite()
                written += 1
                try transaction.createBucketIfMissing(bucketName).appendPut(keyBytes(written), UnsafeRawBufferPointer(value))
                try transaction.createBucketIfMissing(Array("meta".utf8)).put([1], [2])
                try transaction.commit()
            }
        }
    }

    private func timeRandomPuts(_ file: PageFile) throws(PageFileError) {
        for name in ["in a transaction", "again"] {
            try report("10000 puts of other keys at random \(name)", count: 10_000) {
                () throws(PageFileError) in
                let transaction = try file.beginWrite()
                let bucket = try transaction.createBucketIfMissing(Array("random".utf8))
                for _ in 0..<10_000 { try bucket.put(keyBytes(random.next()), UnsafeRawBufferPointer(value)) }
                try transaction.commit()
            }
        }
    }

    private func timeDeletes(_ file: PageFile) throws(PageFileError) {
        try report("deletion of every other of 20000 revisions", count: 10_000) {
            () throws(PageFileError) in
            let transaction = try file.beginWrite()
            let bucket = try transaction.createBucketIfMissing(bucketName)
            for main in stride(from: UInt64(1), to: 20_001, by: 2) { try bucket.delete(keyBytes(main)) }
            try transaction.commit()
        }
    }
}
