import Host
import Simulation

/// The disk a member sees when a seeded bug skips syncs: everything else goes to the real faulty disk.
final class SeededDisk: Disk {
    private let disk: FaultyDisk
    /// Whether the sync of a path is left out.
    private let skips: @Sendable (String) -> Bool

    init(_ disk: FaultyDisk, skips: @escaping @Sendable (String) -> Bool) {
        self.disk = disk
        self.skips = skips
    }

    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        SeededFile(try disk.open(path, mode), skips: skips)
    }
    func list(_ directory: String) throws(DiskError) -> [String] { try disk.list(directory) }
    func exists(_ path: String) throws(DiskError) -> Bool { try disk.exists(path) }
    func createDirectory(_ path: String, permissions: UInt32) throws(DiskError) {
        try disk.createDirectory(path, permissions: permissions)
    }
    func rename(_ path: String, to target: String) throws(DiskError) { try disk.rename(path, to: target) }
    func remove(_ path: String) throws(DiskError) { try disk.remove(path) }
    func removeTree(_ path: String) throws(DiskError) { try disk.removeTree(path) }
    func syncDirectory(_ path: String) throws(DiskError) { if !skips(path) { try disk.syncDirectory(path) } }
}

private final class SeededFile: DiskFile {
    private let file: any DiskFile
    private let skips: @Sendable (String) -> Bool
    var path: String { file.path }

    init(_ file: any DiskFile, skips: @escaping @Sendable (String) -> Bool) {
        self.file = file
        self.skips = skips
    }

    func size() throws(DiskError) -> Int { try file.size() }
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
        try file.read(at: offset, into: buffer)
    }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) { try file.write(bytes, at: offset) }
    func setSize(_ size: Int) throws(DiskError) { try file.setSize(size) }
    func preallocate(_ size: Int) throws(DiskError) { try file.preallocate(size) }
    func syncData() throws(DiskError) { if !skips(path) { try file.syncData() } }
    func sync() throws(DiskError) { if !skips(path) { try file.sync() } }
    func tryLock(_ kind: FileLock) throws(DiskError) -> Bool { try file.tryLock(kind) }
    func map(capacity: Int) throws(DiskError) -> (any FileMapping)? { try file.map(capacity: capacity) }
    func close() { file.close() }
}
