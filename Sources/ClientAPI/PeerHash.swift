import Bytes
import MVCC

/// What members send each other to compare their data (`/members/hashkv`): Go's JSON of etcd's HashKVRequest and HashKVResponse.
public enum PeerHash {
    public static let compacted = "mvcc: required revision has been compacted"
    public static let futureRevision = "mvcc: required revision is a future revision"

    public static func request(revision: Int64) -> [UInt8] { Array("{\"revision\":\(revision)}".utf8) }

    /// Nil when the bytes are no request; 0 asks for the newest revision.
    static func revision(inRequest bytes: [UInt8]) -> Int64? {
        guard let json = try? JSON(parsing: bytes), json.object != nil else { return nil }
        guard let field = json["revision"] else { return 0 }
        return field.int64
    }

    /// Fields that are zero are left out, as Go does. The compact revision is -1 before the first compaction.
    ///
    /// - Parameters:
    ///   - current: the newest revision, which the header carries.
    ///   - tellsRevision: say which revision the hash is of, as etcd does from 3.6 on.
    static func response(_ hash: KeyValueHash, current: Int64, tellsRevision: Bool) -> [UInt8] {
        var fields: [JSON.Field] = []
        func add(_ name: String, _ value: Int64) {
            if value != 0 { fields.append(JSON.Field(name, value < 0 ? .negativeInteger(value) : .integer(UInt64(value)))) }
        }
        fields.append(JSON.Field("header", .object([JSON.Field("revision", .integer(UInt64(clamping: current)))])))
        add("hash", Int64(hash.hash))
        add("compact_revision", hash.compactRevision)
        if tellsRevision { add("hash_revision", hash.revision) }
        return JSON.object(fields).bytes()
    }

    /// Nil when the bytes are no answer. `asked`: the revision that was asked for, which etcd before 3.6 does not repeat.
    public static func hash(inResponse bytes: [UInt8], asked: Int64) -> KeyValueHash? {
        guard let json = try? JSON(parsing: bytes), json.object != nil,
            let hash = UInt32(exactly: json["hash"]?.int64 ?? 0)
        else { return nil }
        return KeyValueHash(
            hash: hash, compactRevision: json["compact_revision"]?.int64 ?? 0,
            revision: json["hash_revision"]?.int64 ?? asked)
    }
}
