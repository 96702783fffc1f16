import Balancing
import Bytes
import Host

/// The last good member list, kept in the data directory if there is one: `{"clusterID":"HEX","seeds":[URL],"members":[URL]}`.
struct KnownClusterFile {
    private let file: KeptFile
    private let isKept: Bool

    init(_ disk: any Disk, directory: String) {
        file = KeptFile(disk, directory: directory, name: "members.json")
        isKept = !directory.isEmpty
    }

    /// nil when there is none. A file that makes no sense counts as none; its problem is for the log.
    func read() -> (known: KnownCluster?, problem: String?) {
        guard isKept else { return (nil, nil) }
        do throws(DiskError) {
            guard let bytes = try file.read() else { return (nil, nil) }
            guard let known = KnownCluster(json: bytes) else { return (nil, "\(file.path) is not a member list") }
            return (known, nil)
        } catch {
            return (nil, "\(error)")
        }
    }

    func write(_ known: KnownCluster) throws(DiskError) {
        if isKept { try file.write(known.json) }
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
