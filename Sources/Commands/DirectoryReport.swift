import Bytes
import EtcdAPI
import Member
import Raft
import Records

/// A ``DirectoryCheck`` for people and for programs.
struct DirectoryReport {
    private let check: DirectoryCheck

    init(_ check: DirectoryCheck) { self.check = check }

    // MARK: for people

    var text: String {
        var lines: [(String, String)] = []
        if let log = check.log {
            let name = check.membership.members.first { $0.id == log.memberID }.map { " \($0.name)" } ?? ""
            lines.append(
                ("member", MemberIdentity.text(log.memberID) + name + " of cluster " + MemberIdentity.text(log.clusterID)))
        } else if check.isNew {
            lines.append(("member", "none: there is no log, so a start makes or joins a cluster"))
        }
        for member in check.membership.members {
            let kind = member.isLearner ? "learner " : "voter "
            let urls = member.peerURLs.joined(separator: ",")
            lines.append(("", kind + MemberIdentity.text(member.id) + " " + member.name + " " + urls))
        }
        if check.isJoint { lines.append(("configuration", "joint: a change of several members is under way")) }
        lines.append(("cluster version", check.clusterVersion?.description ?? "not decided"))
        if let pageFile = check.pageFile { lines += self.lines(pageFile) }
        if let log = check.log { lines += self.lines(log) }
        for note in check.notes { lines.append(("note", note)) }
        for verdict in check.verdicts { lines.append(("etcd \(verdict.release)", DirectoryReport.text(verdict.reasons))) }
        lines.append(("quorate member", DirectoryReport.text(check.refusals)))
        let width = lines.map(\.0.count).max() ?? 0
        return lines.map { name, value in name + String(repeating: " ", count: width + 2 - name.count) + value }
            .joined(separator: "\n")
    }

    private static func text(_ reasons: [String]) -> String { reasons.isEmpty ? "yes" : "no: " + reasons.joined(separator: "; ") }

    private func lines(_ facts: PageFileFacts) -> [(String, String)] {
        let auth = facts.isAuthenticationEnabled ? "enabled" : "off"
        var lines = [
            ("storage version", facts.storageVersion ?? (facts.term == nil ? "3.4 or before" : "3.5")),
            (
                "page file",
                "\(facts.size) bytes, \(facts.sizeInUse) in use; revision \(facts.revision), compacted at "
                    + "\(facts.compactRevision), \(facts.storedRevisions) stored; entries up to \(facts.appliedIndex)"
            ),
            ("authentication", "\(auth), \(facts.users) users, \(facts.roles) roles"), ("leases", "\(facts.leases)"),
        ]
        let alarms = facts.alarms.map { DirectoryReport.name($0.alarm) + " on " + MemberIdentity.text($0.memberID) }
        lines.append(("alarms", alarms.isEmpty ? "none" : alarms.joined(separator: ", ")))
        if let target = facts.downgradeTarget { lines.append(("downgrade", "under way to \(target)")) }
        return lines
    }

    private func lines(_ facts: LogFacts) -> [(String, String)] {
        let entries = facts.entries
        let range = facts.range.map { "entries \($0.lowerBound) to \($0.upperBound)" } ?? "no entries"
        return [
            ("snapshot", facts.snapshotIndex == 0 ? "none" : "index \(facts.snapshotIndex), term \(facts.snapshotTerm)"),
            ("log", "\(facts.segments) segments, \(range) after the snapshot, \(facts.commit) committed, term \(facts.term)"),
            (
                "entries",
                "\(entries.requests) requests, \(entries.bareV2) of members and version in v2 form, "
                    + "\(entries.configurationChanges) changes of members, \(entries.authentication) of authentication"
            ),
            (
                "v2 store",
                facts.v2Keys + entries.userV2 == 0 ? "no keys of users" : "\(facts.v2Keys + entries.userV2) keys of users"
            ),
        ]
    }

    private static func name(_ alarm: AlarmType) -> String {
        switch alarm {
        case .nospace: "NOSPACE"
        case .corrupt: "CORRUPT"
        case .none, .unrecognized: "UNKNOWN"
        }
    }

    // MARK: for programs

    var json: JSON {
        var fields = [
            JSON.Field("startable", .bool(check.refusals.isEmpty)), JSON.Field("refusals", strings(check.refusals)),
            JSON.Field("inUse", .bool(check.isInUse)), JSON.Field("new", .bool(check.isNew)),
            JSON.Field("clusterVersion", check.clusterVersion.map { .string($0.description) } ?? .null),
            JSON.Field(
                "openableBy",
                .object(
                    check.verdicts.map { verdict in
                        JSON.Field(
                            verdict.release,
                            .object([
                                JSON.Field("openable", .bool(verdict.reasons.isEmpty)),
                                JSON.Field("reasons", strings(verdict.reasons)),
                            ]))
                    })),
            JSON.Field("members", .array(check.membership.members.map(json))),
            JSON.Field("jointConfiguration", .bool(check.isJoint)), JSON.Field("notes", strings(check.notes)),
        ]
        if let pageFile = check.pageFile { fields.append(JSON.Field("pageFile", json(pageFile))) }
        if let log = check.log { fields.append(JSON.Field("log", json(log))) }
        return .object(fields)
    }

    private func strings(_ texts: [String]) -> JSON { .array(texts.map(JSON.string)) }
    private func integer(_ value: Int) -> JSON { .integer(UInt64(clamping: value)) }

    private func json(_ member: MemberRecord) -> JSON {
        .object([
            JSON.Field("id", .string(MemberIdentity.text(member.id))), JSON.Field("name", .string(member.name)),
            JSON.Field("peerURLs", strings(member.peerURLs)), JSON.Field("learner", .bool(member.isLearner)),
        ])
    }

    private func json(_ facts: PageFileFacts) -> JSON {
        .object([
            JSON.Field("size", integer(facts.size)), JSON.Field("sizeInUse", integer(facts.sizeInUse)),
            JSON.Field("revision", integer(Int(facts.revision))),
            JSON.Field("compactRevision", integer(Int(facts.compactRevision))),
            JSON.Field("storedRevisions", integer(facts.storedRevisions)),
            JSON.Field("appliedIndex", .integer(facts.appliedIndex)),
            JSON.Field("storageVersion", facts.storageVersion.map(JSON.string) ?? .null),
            JSON.Field("downgradeTarget", facts.downgradeTarget.map(JSON.string) ?? .null),
            JSON.Field("authenticationEnabled", .bool(facts.isAuthenticationEnabled)), JSON.Field("users", integer(facts.users)),
            JSON.Field("roles", integer(facts.roles)), JSON.Field("leases", integer(facts.leases)),
            JSON.Field(
                "alarms",
                .array(
                    facts.alarms.map {
                        .object([
                            JSON.Field("member", .string(MemberIdentity.text($0.memberID))),
                            JSON.Field("alarm", .string(DirectoryReport.name($0.alarm))),
                        ])
                    })),
            JSON.Field("unknownBuckets", strings(facts.unknownBuckets)),
        ])
    }

    private func json(_ facts: LogFacts) -> JSON {
        let entries = facts.entries
        return .object([
            JSON.Field("member", .string(MemberIdentity.text(facts.memberID))),
            JSON.Field("cluster", .string(MemberIdentity.text(facts.clusterID))),
            JSON.Field("segments", integer(facts.segments)), JSON.Field("snapshotIndex", .integer(facts.snapshotIndex)),
            JSON.Field("snapshotTerm", .integer(facts.snapshotTerm)),
            JSON.Field("firstIndex", facts.range.map { .integer($0.lowerBound) } ?? .null),
            JSON.Field("lastIndex", facts.range.map { .integer($0.upperBound) } ?? .null),
            JSON.Field("term", .integer(facts.term)), JSON.Field("commit", .integer(facts.commit)),
            JSON.Field("requests", integer(entries.requests)), JSON.Field("v2Requests", integer(entries.bareV2)),
            JSON.Field("configurationChanges", integer(entries.configurationChanges)),
            JSON.Field("authenticationRequests", integer(entries.authentication)),
            JSON.Field("userV2Keys", integer(facts.v2Keys + entries.userV2)),
        ])
    }
}
