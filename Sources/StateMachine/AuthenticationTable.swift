import Bytes
import EtcdAPI

/// Users, roles and whether authentication is on, as replicated; and what a user may do to keys. Sources: `server/auth` of etcd 3.5.30.
public struct AuthenticationTable: Sendable {
    static let root = "root"

    public internal(set) var isEnabled = false
    /// Grows with every change; who was checked against an older one is refused.
    public internal(set) var revision: UInt64 = 1
    var users: [String: UserRecord] = [:]
    var roles: [String: RoleRecord] = [:]

    public init(isEnabled: Bool = false, revision: UInt64 = 1, users: [UserRecord] = [], roles: [RoleRecord] = []) {
        self.isEnabled = isEnabled
        self.revision = revision
        for user in users { self.users[user.text] = user }
        for role in roles { self.roles[role.text] = role }
    }

    /// Why this user may not do what only administrators do; nil when it may, or when authentication is off.
    func refusalOfAdministration(_ user: String) -> EtcdError? {
        guard isEnabled else { return nil }
        guard !user.isEmpty else { return .userEmpty }
        guard let record = users[user] else { return .userNotFound }
        return record.isRoot ? nil : .permissionDenied
    }

    enum Access { case read, write }

    /// Why the user may not read or write these keys.
    /// - Parameter revision: what the user was checked against when the request was made; 0 when there was no user.
    func refusal(of access: Access, key: [UInt8], rangeEnd: [UInt8], _ user: String, at revision: UInt64) -> EtcdError? {
        guard isEnabled else { return nil }
        if revision == 0 { return .userEmpty }
        if revision < self.revision { return .authOldRevision }
        guard let record = users[user] else { return .permissionDenied }
        if record.isRoot || allows(record, access, KeySpan(key: key, rangeEnd: rangeEnd)) { return nil }
        return .permissionDenied
    }

    /// Everything asked for is covered by what the user's roles permit, taken together.
    private func allows(_ user: UserRecord, _ access: Access, _ wanted: KeySpan) -> Bool {
        let spans = user.roles.compactMap { roles[$0] }.flatMap(\.keyPermission).filter { $0.permits(access) }
            .map { KeySpan(key: $0.key, rangeEnd: $0.rangeEnd) }
            .filter { $0.overlaps(wanted) }
            .sorted { $0.first.lexicographicallyPrecedes($1.first) }
        guard let first = spans.first, !wanted.first.lexicographicallyPrecedes(first.first) else { return false }
        var reached = first
        for span in spans.dropFirst() {
            if reached.endsBefore(span.first) { return false }
            if reached.endsBefore(endOf: span) { reached = span }
        }
        return !reached.endsBefore(endOf: wanted)
    }
}

/// Keys from one on, up to another or without end.
private struct KeySpan {
    let first: [UInt8]
    /// The first key past it, or nil for no end.
    let end: [UInt8]?

    /// As requests and permissions spell it: one key where the range end is empty, no end where it is one zero byte.
    init(key: [UInt8], rangeEnd: [UInt8]) {
        first = key
        end = rangeEnd.isEmpty ? key + [0] : rangeEnd == [0] ? nil : rangeEnd
    }

    func overlaps(_ other: KeySpan) -> Bool { !endsAt(other.first) && !other.endsAt(first) }

    /// `key` is past it.
    private func endsAt(_ key: [UInt8]) -> Bool { end.map { !key.lexicographicallyPrecedes($0) } ?? false }

    /// There is something between it and `key`.
    func endsBefore(_ key: [UInt8]) -> Bool { end.map { $0.lexicographicallyPrecedes(key) } ?? false }

    func endsBefore(endOf other: KeySpan) -> Bool {
        guard let end else { return false }
        return other.end.map { end.lexicographicallyPrecedes($0) } ?? true
    }
}

extension Permission {
    fileprivate func permits(_ access: AuthenticationTable.Access) -> Bool {
        switch permType {
        case .readwrite: true
        case .read: access == .read
        case .write: access == .write
        case .unrecognized: false
        }
    }

    /// It spans something.
    var isValid: Bool {
        !key.isEmpty && (rangeEnd.isEmpty || rangeEnd == [0] || key.lexicographicallyPrecedes(rangeEnd))
    }
}

extension UserRecord {
    var text: String { String(decoding: name, as: UTF8.self) }
    var isRoot: Bool { roles.contains(AuthenticationTable.root) }
}

extension RoleRecord {
    var text: String { String(decoding: name, as: UTF8.self) }
}
