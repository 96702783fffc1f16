import Host
import LinuxHost
import Telemetry

/// A disk that measures how long writes and syncs of the write-ahead log and of snapshot files take; everything else is passed on.
final class ObservedDisk: Disk {
    private let disk: any Disk
    private let metrics: MemberMetrics

    init(_ disk: any Disk, _ metrics: MemberMetrics) {
        self.disk = disk
        self.metrics = metrics
    }

    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        let file = try disk.open(path, mode)
        if path.hasSuffix(".wal") {
            return ObservedFile(
                file, sync: metrics.disk.walFsync, write: metrics.disk.walWrite, writtenBytes: metrics.disk.walWriteBytes)
        }
        return path.hasSuffix(".snap") ? ObservedFile(file, sync: metrics.snapshot.fsync) : file
    }

    func list(_ directory: String) throws(DiskError) -> [String] { try disk.list(directory) }
    func exists(_ path: String) throws(DiskError) -> Bool { try disk.exists(path) }
    func createDirectory(_ path: String, permissions: UInt32) throws(DiskError) {
        try disk.createDirectory(path, permissions: permissions)
    }
    func rename(_ path: String, to target: String) throws(DiskError) { try disk.rename(path, to: target) }
    func remove(_ path: String) throws(DiskError) { try disk.remove(path) }
    func removeTree(_ path: String) throws(DiskError) { try disk.removeTree(path) }
    func syncDirectory(_ path: String) throws(DiskError) { try disk.syncDirectory(path) }
}

private final class ObservedFile: DiskFile {
    private let file: any DiskFile
    private let syncDuration: Histogram
    private let writeDuration: Histogram?
    private let writtenBytes: Gauge?

    init(_ file: any DiskFile, sync: Histogram, write: Histogram? = nil, writtenBytes: Gauge? = nil) {
        self.file = file
        syncDuration = sync
        writeDuration = write
        self.writtenBytes = writtenBytes
    }

    var path: String { file.path }
    func size() throws(DiskError) -> Int { try file.size() }
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
        try file.read(at: offset, into: buffer)
    }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
        guard let writeDuration else { return try file.write(bytes, at: offset) }
        let began = SystemClock.now()
        try file.write(bytes, at: offset)
        writeDuration.observe((SystemClock.now() - began).seconds)
        writtenBytes?.add(Int64(bytes.count))
    }
    func setSize(_ size: Int) throws(DiskError) { try file.setSize(size) }
    func preallocate(_ size: Int) throws(DiskError) { try file.preallocate(size) }
    func syncData() throws(DiskError) {
        let began = SystemClock.now()
        try file.syncData()
        syncDuration.observe((SystemClock.now() - began).seconds)
    }
    func sync() throws(DiskError) {
        let began = SystemClock.now()
        try file.sync()
        syncDuration.observe((SystemClock.now() - began).seconds)
    }
    func tryLock(_ kind: FileLock) throws(DiskError) -> Bool { try file.tryLock(kind) }
    func map(capacity: Int) throws(DiskError) -> (any FileMapping)? { try file.map(capacity: capacity) }
    func close() { file.close() }
}
