import Bytes
import Raft

/// The tree of etcd's v2 store in JSON. A node is `{"Path", "CreatedIndex", "ModifiedIndex", "ExpireTime", "Value", "Children"}`;
/// a directory has an object for children, a key has null.
enum V2Store {
    // MARK: Reading

    static func children(of node: JSON?) -> [JSON.Field] { node?["Children"]?.object ?? [] }

    static func child(_ name: String, of node: JSON) -> JSON? { node["Children"]?[name] }

    /// A directory has children, a key none; the depth is that of the JSON.
    static func keys(below node: JSON) -> Int {
        guard let children = node["Children"]?.object else { return 1 }
        return children.reduce(0) { $0 + keys(below: $1.value) }
    }

    static func value(_ node: JSON) throws(DecodeError) -> String {
        guard let text = node["Value"]?.string else { throw .invalid("v2 store node without a value") }
        return text
    }

    static func memberID(_ name: String) throws(DecodeError) -> MemberID {
        guard let id = MemberIdentity.parse(name) else { throw .invalid("v2 store: \"\(name)\" is no member id") }
        return id
    }

    /// A directory `/0/members/ID`. Without raft attributes etcd panics, so here it is an error; attributes come only once the
    /// member has started.
    static func member(_ field: JSON.Field) throws(DecodeError) -> MemberRecord {
        var member = MemberRecord(id: try memberID(field.name))
        guard let raftAttributes = child("raftAttributes", of: field.value) else {
            throw .invalid("v2 store: member \(field.name) without raft attributes")
        }
        try member.decodeRaftAttributes(json: Array(try value(raftAttributes).utf8))
        if let attributes = child("attributes", of: field.value) {
            try member.decodeAttributes(json: Array(try value(attributes).utf8))
        }
        return member
    }

    // MARK: Writing

    /// Builds the tree as if every key had been set one after the other, each raising the store's index by one.
    struct Builder {
        private var index: UInt64 = 0

        mutating func store(of membership: MembershipRecord) -> JSON {
            let root = directory("/", index: 0, [("0", cluster(membership)), ("1", directory("/1", index: 0, []))])
            return .object([
                JSON.Field("Root", root), JSON.Field("WatcherHub", Builder.watcherHub),
                JSON.Field("CurrentIndex", .integer(index)), JSON.Field("Stats", Builder.statistics),
                JSON.Field("CurrentVersion", .integer(2)),
            ])
        }

        private mutating func cluster(_ membership: MembershipRecord) -> JSON {
            var children: [(String, JSON)] = []
            if !membership.members.isEmpty {
                let first = index + 1
                let members = membership.members.map { member in (MemberIdentity.text(member.id), self.member(member)) }
                children.append(("members", directory("/0/members", index: first, members)))
            }
            if !membership.removed.isEmpty {
                let first = index + 1
                let removed = membership.removed.map { id in
                    (MemberIdentity.text(id), key("/0/removed_members/\(MemberIdentity.text(id))", ""))
                }
                children.append(("removed_members", directory("/0/removed_members", index: first, removed)))
            }
            if let version = membership.clusterVersion {
                children.append(("version", key("/0/version", version.description)))
            }
            return directory("/0", index: 0, children)
        }

        private mutating func member(_ member: MemberRecord) -> JSON {
            let path = "/0/members/\(MemberIdentity.text(member.id))"
            let first = index + 1
            var children = [
                ("raftAttributes", key(path + "/raftAttributes", String(decoding: member.raftAttributesJSON, as: UTF8.self)))
            ]
            if !member.name.isEmpty || !member.clientURLs.isEmpty {
                let attributes = String(decoding: member.attributesJSON, as: UTF8.self)
                children.append(("attributes", key(path + "/attributes", attributes)))
            }
            return directory(path, index: first, children)
        }

        private mutating func key(_ path: String, _ value: String) -> JSON {
            index += 1
            return node(path, index: index, value: value, children: .null)
        }

        /// Go writes a map's keys in byte order.
        private func directory(_ path: String, index: UInt64, _ children: [(String, JSON)]) -> JSON {
            let sorted = children.sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
            return node(path, index: index, value: "", children: .object(sorted.map { JSON.Field($0.0, $0.1) }))
        }

        private func node(_ path: String, index: UInt64, value: String, children: JSON) -> JSON {
            .object([
                JSON.Field("Path", .string(path)), JSON.Field("CreatedIndex", .integer(index)),
                JSON.Field("ModifiedIndex", .integer(index)), JSON.Field("ExpireTime", .string("0001-01-01T00:00:00Z")),
                JSON.Field("Value", .string(value)), JSON.Field("Children", children),
            ])
        }

        /// An event history without events. It must have all of its 1,000 places: etcd indexes into them without looking.
        private static let watcherHub: JSON = {
            let queue = JSON.object([
                JSON.Field("Events", .array(Array(repeating: .null, count: 1_000))), JSON.Field("Size", .integer(0)),
                JSON.Field("Front", .integer(0)), JSON.Field("Back", .integer(0)), JSON.Field("Capacity", .integer(1_000)),
            ])
            let history = JSON.object([
                JSON.Field("Queue", queue), JSON.Field("StartIndex", .integer(0)), JSON.Field("LastIndex", .integer(0)),
            ])
            return .object([JSON.Field("EventHistory", history)])
        }()

        private static let statistics: JSON = {
            let names = [
                "getsSuccess", "getsFail", "setsSuccess", "setsFail", "deleteSuccess", "deleteFail", "updateSuccess",
                "updateFail", "createSuccess", "createFail", "compareAndSwapSuccess", "compareAndSwapFail",
                "compareAndDeleteSuccess", "compareAndDeleteFail", "expireCount", "watchers",
            ]
            return .object(names.map { JSON.Field($0, .integer(0)) })
        }()
    }
}
