import Host
import LinuxHost
import Telemetry

/// A disk that measures how long syncs of the write-ahead log take; everything else is passed on.
final class ObservedDisk: Disk {
    private let disk: any Disk
    private let walSync: Histogram

    init(_ disk: any Disk, walSync: Histogram) {
        self.disk = disk
        self.walSync = walSync
    }

    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        let file = try disk.open(path, mode)
        return path.hasSuffix(".wal") ? ObservedFile(file, walSync) : file
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
    private let duration: Histogram

    init(_ file: any DiskFile, _ duration: Histogram) {
        self.file = file
        self.duration = duration
    }

    var path: String { file.path }
    func size() throws(DiskError) -> Int { try file.size() }
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
        try file.read(at: offset, into: buffer)
    }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) { try file.write(bytes, at: offset) }
    func setSize(_ size: Int) throws(DiskError) { try file.setSize(size) }
    func preallocate(_ size: Int) throws(DiskError) { try file.preallocate(size) }
    func syncData() throws(DiskError) {
        let began = SystemClock.now()
        try file.syncData()
        duration.observe((SystemClock.now() - began).seconds)
    }
    func sync() throws(DiskError) { try file.sync() }
    func tryLock(_ kind: FileLock) throws(DiskError) -> Bool { try file.tryLock(kind) }
    func map(capacity: Int) throws(DiskError) -> (any FileMapping)? { try file.map(capacity: capacity) }
    func close() { file.close() }
}
