import Host

/// A small file that is replaced as a whole.
struct KeptFile {
    private let disk: any Disk
    private let directory: String
    private static let longest = 1 << 20

    let path: String

    init(_ disk: any Disk, directory: String, name: String) {
        self.disk = disk
        self.directory = directory
        path = directory + "/" + name
    }

    /// nil when there is none. Of a file that is far too long no more than the beginning.
    func read() throws(DiskError) -> [UInt8]? {
        guard try disk.exists(path) else { return nil }
        let file = try disk.open(path, .readOnly)
        defer { file.close() }
        var bytes = [UInt8](repeating: 0, count: min(try file.size(), Self.longest))
        let result: Result<Int, DiskError> = bytes.withUnsafeMutableBytes { raw in
            do throws(DiskError) { return .success(try file.read(at: 0, into: raw)) } catch { return .failure(error) }
        }
        return Array(bytes[..<(try result.get())])
    }

    /// All or nothing: a new file is written and synced, then takes the old one's place.
    func write(_ bytes: [UInt8]) throws(DiskError) {
        try disk.createDirectory(directory, permissions: 0o700)
        let fresh = path + ".tmp"
        if try disk.exists(fresh) { try disk.remove(fresh) }
        let file = try disk.open(fresh, .createNew(permissions: 0o600))
        defer { file.close() }
        try bytes.withBytes { (raw) throws(DiskError) in try file.write(raw, at: 0) }
        try file.sync()
        try disk.rename(fresh, to: path)
        try disk.syncDirectory(directory)
    }
}
