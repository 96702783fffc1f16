import Bytes
import Glibc
import Host
import LinuxHost
import Raft
import Records
import WAL

/// Times the write-ahead log: encoding entries, writing them, syncing them, reading them back, and the checksum by itself.
/// Prints one line for each. Files go to a directory of their own under `TMPDIR`, or `/tmp`.
func runWALBenchmark() {
    do {
        let benchmark = try WALBenchmark()
        defer { benchmark.clean() }
        benchmark.measureChecksum()
        try benchmark.measureEncoding()
        try benchmark.measureWriting()
        try benchmark.measureSyncs()
        try benchmark.measureReplay()
    } catch {
        print("write-ahead log: \(error)")
    }
}

private struct WALBenchmark {
    private static let entrySize = 300
    private let disk = LinuxDisk()
    private let directory: String
    private let metadata = LogMetadata(member: 1, cluster: 2).encoded()
    private let batch: [Entry]

    init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        directory = "\(base)/wal-benchmark-\(getpid())"
        try disk.removeTree(directory)
        try disk.createDirectory(directory, permissions: 0o700)
        let data = (0..<WALBenchmark.entrySize).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        batch = (1...100).map { Entry(term: 5, index: 1_000_000 + $0, data: data) }
    }

    func clean() { try? disk.removeTree(directory) }

    func measureChecksum() {
        for size in [300, 1 << 20] {
            let bytes = [UInt8](repeating: 0xa5, count: size)
            var checksum: UInt32 = 0
            let rounds = (1 << 30) / size
            let time = seconds { for _ in 0..<rounds { checksum = CRC32C.update(checksum, bytes) } }
            let rate = Double(rounds * size) / time / 1e9
            print("CRC-32C of \(size) bytes: \(rounded(time / Double(rounds) * 1e9)) ns, \(rounded(rate)) GB/s (\(checksum))")
        }
    }

    /// Appends to a file that takes everything: what remains is encoding and the checksum.
    func measureEncoding() throws {
        var log = try WriteAheadLog.create(NullDisk(), "wal", metadata: metadata, options: .init(segmentSize: .max, syncs: false))
        let rounds = 20_000
        let time = try seconds { for _ in 0..<rounds { try log.append(nil, batch, sync: true) } }
        print("encoding an entry of \(WALBenchmark.entrySize) bytes: \(rounded(time / Double(rounds * batch.count) * 1e9)) ns")
        try log.close()
    }

    func measureWriting() throws {
        var log = try WriteAheadLog.create(disk, directory + "/written", metadata: metadata, options: .init(syncs: false))
        let rounds = 5_000
        let time = try seconds { for _ in 0..<rounds { try log.append(nil, batch, sync: true) } }
        print("writing it, 100 a call, segments cut: \(rounded(time / Double(rounds * batch.count) * 1e9)) ns")
        try log.close()
    }

    func measureSyncs() throws {
        var log = try WriteAheadLog.create(disk, directory + "/synced", metadata: metadata)
        for count in [1, 100] {
            let entries = Array(batch.prefix(count))
            let rounds = 300
            let time = try seconds { for _ in 0..<rounds { try log.append(nil, entries, sync: true) } }
            print("append and fdatasync of \(count) entries: \(rounded(time / Double(rounds) * 1e6)) us")
        }
        try log.close()
    }

    func measureReplay() throws {
        let path = directory + "/replayed"
        var log = try WriteAheadLog.create(disk, path, metadata: metadata, options: .init(syncs: false))
        let total = 400_000
        for start in stride(from: 0, to: total, by: 100) {
            let entries = batch.enumerated().map { Entry(term: 5, index: LogIndex(start + $0 + 1), data: $1.data) }
            try log.append(HardState(term: 5, vote: 1, commit: LogIndex(start)), entries, sync: true)
        }
        try log.close()
        let scan = try seconds { _ = try WriteAheadLog.snapshotMarkers(disk, path) }
        print("scanning for snapshot records: \(rounded(scan / Double(total) * 1e9)) ns an entry")
        var count = 0
        let time = try seconds { count = try WriteAheadLog.read(disk, path, from: SnapshotMarker()).entries.count }
        print("replaying an entry: \(rounded(time / Double(total) * 1e9)) ns (\(count) entries)")
    }

    private func seconds(_ body: () throws -> Void) rethrows -> Double {
        let start = SystemClock.now()
        try body()
        return (SystemClock.now() - start).seconds
    }

    private func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }
}

/// A disk whose files swallow what is written.
private final class NullDisk: Disk {
    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile { NullFile(path: path) }
    func list(_ directory: String) throws(DiskError) -> [String] { [] }
    func exists(_ path: String) throws(DiskError) -> Bool { false }
    func createDirectory(_ path: String, permissions: UInt32) throws(DiskError) {}
    func rename(_ path: String, to target: String) throws(DiskError) {}
    func remove(_ path: String) throws(DiskError) {}
    func removeTree(_ path: String) throws(DiskError) {}
    func syncDirectory(_ path: String) throws(DiskError) {}
}

private final class NullFile: DiskFile {
    let path: String
    init(path: String) { self.path = path }
    func size() throws(DiskError) -> Int { 0 }
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int { 0 }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {}
    func setSize(_ size: Int) throws(DiskError) {}
    func preallocate(_ size: Int) throws(DiskError) {}
    func syncData() throws(DiskError) {}
    func sync() throws(DiskError) {}
    func tryLock(_ kind: FileLock) throws(DiskError) -> Bool { true }
    func map(capacity: Int) throws(DiskError) -> (any FileMapping)? { nil }
    func close() {}
}
