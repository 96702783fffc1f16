import Balancing
import Bytes
import Host

/// The last good member list, kept in the data directory if there is one: `{"clusterID":"HEX","seeds":[URL],"members":[URL]}`.
struct KnownClusterFile {
    private let disk: any Disk
    private let directory: String
    private var path: String { directory + "/members.json" }
    private static let longest = 1 << 20

    init(_ disk: any Disk, directory: String) {
        self.disk = disk
        self.directory = directory
    }

    /// nil when there is none. A file that makes no sense counts as none; its problem is for the log.
    func read() -> (known: KnownCluster?, problem: String?) {
        if directory.isEmpty { return (nil, nil) }
        do throws(DiskError) {
            guard try disk.exists(path) else { return (nil, nil) }
            let file = try disk.open(path, .readOnly)
            defer { file.close() }
            let length = try file.size()
            guard length <= Self.longest else { return (nil, "\(path) is too long") }
            var bytes = [UInt8](repeating: 0, count: length)
            let count = try read(file, into: &bytes)
            guard let known = KnownCluster(json: Array(bytes[..<count])) else { return (nil, "\(path) is not a member list") }
            return (known, nil)
        } catch {
            return (nil, "\(error)")
        }
    }

    private func read(_ file: any DiskFile, into bytes: inout [UInt8]) throws(DiskError) -> Int {
        let result: Result<Int, DiskError> = bytes.withUnsafeMutableBytes { raw in
            do throws(DiskError) { return .success(try file.read(at: 0, into: raw)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// All or nothing: a new file is written and synced, then takes the old one's place.
    func write(_ known: KnownCluster) throws(DiskError) {
        if directory.isEmpty { return }
        try disk.createDirectory(directory, permissions: 0o700)
        let fresh = path + ".tmp"
        if try disk.exists(fresh) { try disk.remove(fresh) }
        let file = try disk.open(fresh, .createNew(permissions: 0o600))
        defer { file.close() }
        try known.json.withBytes { (raw) throws(DiskError) in try file.write(raw, at: 0) }
        try file.sync()
        try disk.rename(fresh, to: path)
        try disk.syncDirectory(directory)
    }
}

extension KnownCluster {
    var json: [UInt8] {
        JSON.object([
            JSON.Field("clusterID", .string(clusterID.map { String($0, radix: 16) } ?? "")),
            JSON.Field("seeds", .array(seeds.map { .string($0.description) })),
            JSON.Field("members", .array(members.map { .string($0.description) })),
        ]).bytes()
    }

    init?(json bytes: [UInt8]) {
        guard let root = try? JSON(parsing: bytes), case .array(let seeds)? = root["seeds"],
            case .array(let members)? = root["members"], case .string(let id)? = root["clusterID"]
        else { return nil }
        func addresses(_ values: [JSON]) -> [EndpointAddress] {
            values.compactMap { value in
                guard case .string(let text) = value else { return nil }
                return try? EndpointAddress(parsing: text)
            }
        }
        self.init(clusterID: UInt64(id, radix: 16), seeds: addresses(seeds), members: addresses(members))
    }
}
