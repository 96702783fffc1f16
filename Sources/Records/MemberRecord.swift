import Bytes
import Raft

/// One member as etcd stores and replicates it.
///
/// As JSON it has Go's field order and omissions: `id`, `peerURLs` (null when there are none), `isLearner`, `name`, `clientURLs`
/// (each of the last three left out at its zero). That is a value of the `members` bucket and the context of a
/// configuration change that adds or updates a member.
public struct MemberRecord: Equatable, Sendable {
    public var id: MemberID
    /// Empty until the member has started and published its attributes.
    public var name: String
    public var peerURLs: [String]
    public var clientURLs: [String]
    public var isLearner: Bool

    public init(
        id: MemberID, name: String = "", peerURLs: [String] = [], clientURLs: [String] = [], isLearner: Bool = false
    ) {
        self.id = id
        self.name = name
        self.peerURLs = peerURLs
        self.clientURLs = clientURLs
        self.isLearner = isLearner
    }

    public init(decodingJSON bytes: [UInt8]) throws(DecodeError) {
        self = try MemberRecord(try JSON(record: bytes))
    }

    /// A list of members, as etcd's peer port answers to `/members`.
    public static func list(decodingJSON bytes: [UInt8]) throws(DecodeError) -> [MemberRecord] {
        let json: JSON
        do { json = try JSON(parsing: bytes) } catch { throw .invalid(error.description) }
        guard let elements = json.array else { throw .invalid("JSON is no list") }
        var members: [MemberRecord] = []
        for element in elements {
            guard element.object != nil else { throw .invalid("JSON holds something that is no member") }
            members.append(try MemberRecord(element))
        }
        return members
    }

    init(_ json: JSON) throws(DecodeError) {
        self.init(id: try json.optional("id", \.uint64) ?? 0)
        try decodeRaftAttributes(json)
        try decodeAttributes(json)
    }

    public var json: [UInt8] { JSON.object(fields).bytes() }

    var fields: [JSON.Field] { [JSON.Field("id", .integer(id))] + raftAttributes + attributes }

    /// What the v2 store keeps under `/0/members/ID/raftAttributes`.
    public var raftAttributesJSON: [UInt8] { JSON.object(raftAttributes).bytes() }

    /// What the v2 store keeps under `/0/members/ID/attributes`, and what a member publishes when it starts.
    public var attributesJSON: [UInt8] { JSON.object(attributes).bytes() }

    /// Replaces peer URLs and learner mark by those of a `raftAttributes` value.
    public mutating func decodeRaftAttributes(json bytes: [UInt8]) throws(DecodeError) {
        try decodeRaftAttributes(try JSON(record: bytes))
    }

    /// Replaces name and client URLs by those of an `attributes` value.
    public mutating func decodeAttributes(json bytes: [UInt8]) throws(DecodeError) {
        try decodeAttributes(try JSON(record: bytes))
    }

    private mutating func decodeRaftAttributes(_ json: JSON) throws(DecodeError) {
        peerURLs = try json.strings("peerURLs")
        isLearner = try json.optional("isLearner", \.bool) ?? false
    }

    private mutating func decodeAttributes(_ json: JSON) throws(DecodeError) {
        name = try json.optional("name", \.string) ?? ""
        clientURLs = try json.strings("clientURLs")
    }

    private var raftAttributes: [JSON.Field] {
        var fields = [JSON.Field("peerURLs", peerURLs.isEmpty ? .null : .array(peerURLs.map(JSON.string)))]
        if isLearner { fields.append(JSON.Field("isLearner", .bool(true))) }
        return fields
    }

    private var attributes: [JSON.Field] {
        var fields: [JSON.Field] = []
        if !name.isEmpty { fields.append(JSON.Field("name", .string(name))) }
        if !clientURLs.isEmpty { fields.append(JSON.Field("clientURLs", .array(clientURLs.map(JSON.string)))) }
        return fields
    }
}

/// The context of a configuration change as etcd fills it: the member, and whether a learner is promoted (`isPromote`).
public struct MemberChangeContext: Equatable, Sendable {
    public var member: MemberRecord
    public var isPromotion: Bool

    public init(member: MemberRecord, isPromotion: Bool = false) {
        self.member = member
        self.isPromotion = isPromotion
    }

    public init(decodingJSON bytes: [UInt8]) throws(DecodeError) {
        let json = try JSON(record: bytes)
        member = try MemberRecord(json)
        isPromotion = try json.optional("isPromote", \.bool) ?? false
    }

    /// etcd writes the mark only where it promotes; additions and updates carry the bare member.
    public var json: [UInt8] {
        guard isPromotion else { return member.json }
        return JSON.object(member.fields + [JSON.Field("isPromote", .bool(true))]).bytes()
    }
}

/// A downgrade under way, as the `cluster` bucket keeps it under `downgrade`.
public struct DowngradeRecord: Equatable, Sendable {
    /// A version such as `3.4.0`; empty when no downgrade is under way.
    public var targetVersion: String
    public var isEnabled: Bool

    public init(targetVersion: String, isEnabled: Bool) {
        self.targetVersion = targetVersion
        self.isEnabled = isEnabled
    }

    public init(decodingJSON bytes: [UInt8]) throws(DecodeError) {
        let json = try JSON(record: bytes)
        targetVersion = try json.optional("target-version", \.string) ?? ""
        isEnabled = try json.optional("enabled", \.bool) ?? false
    }

    public var json: [UInt8] {
        JSON.object([
            JSON.Field("target-version", .string(targetVersion)), JSON.Field("enabled", .bool(isEnabled)),
        ]).bytes()
    }
}

extension JSON {
    /// Parses a stored record, which is always an object.
    init(record bytes: [UInt8], maximumDepth: Int = JSON.maximumDepth) throws(DecodeError) {
        do {
            self = try JSON(parsing: bytes, maximumDepth: maximumDepth)
        } catch {
            throw .invalid(error.description)
        }
        guard object != nil else { throw .invalid("JSON is no object") }
    }

    /// A field's value, nil when it is absent or null, as Go's decoder treats the two alike.
    func optional<Value>(_ name: String, _ read: (JSON) -> Value?) throws(DecodeError) -> Value? {
        guard let field = self[name], !field.isNull else { return nil }
        guard let value = read(field) else { throw .invalid("JSON field \(name) is of another type") }
        return value
    }

    func strings(_ name: String) throws(DecodeError) -> [String] {
        guard let elements = try optional(name, \.array) else { return [] }
        var strings: [String] = []
        for element in elements {
            guard let text = element.string else { throw .invalid("JSON field \(name) holds something that is no string") }
            strings.append(text)
        }
        return strings
    }
}
