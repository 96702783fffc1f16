import EtcdAPI
import Member
import Raft
import Records
import Systemd

/// What `systemctl status` says of a member: role, term, leader, revision, size of the data, members, alarms, load.
struct MemberStatusLine {
    let status: MemberStatus
    let revision: Int64
    /// Members heard from lately, this one among them.
    let membersUp: Int
    /// A turn waits for the disk: the member serves nothing that needs a quorum.
    let isStalled: Bool
    /// nil before there are two counts to compare.
    let requestsPerSecond: Double?

    var line: StatusLine {
        let members = status.membership.members.count
        let state =
            [
                role, "term \(status.term)", data, "\(membersUp) of \(members) \(members == 1 ? "member" : "members") up", alarms,
            ] + differences
        var warning = isStalled ? "WAITING FOR THE DISK, " : ""
        if status.isAuthenticationEnabled { warning += "NO CLIENT IS SERVED WHILE AUTHENTICATION IS ENABLED, " }
        return StatusLine(state: warning + state.joined(separator: ", "), activity: activity)
    }

    private var role: String {
        if status.role == .leader { return status.isReady ? "leader" : "leader, not serving yet" }
        let kind = status.isLearner ? "learner" : "follower"
        guard status.leader != 0 else { return status.isLearner ? "learner without a leader" : "no leader" }
        return "\(kind) of \(name(of: status.leader))"
    }

    private var data: String {
        let size = "data " + byteText(status.pageFileSize)
        return status.quota.map { "\(size) of \(byteText($0))" } ?? size
    }

    private var alarms: String {
        if status.alarms.isEmpty { return "no alarms" }
        let texts = status.alarms.map { "\(alarmText($0.alarm)) on \(name(of: $0.memberID))" }
        return "ALARM " + texts.sorted().joined(separator: " and ")
    }

    /// Members that a comparison found to hold other data, and that no alarm tells of.
    private var differences: [String] {
        let names = status.differences.filter { $0.verdict != .alarm }.map { name(of: $0.member) }
        return names.isEmpty ? [] : ["DATA DIFFERS on " + names.joined(separator: " and ")]
    }

    private func name(of id: UInt64) -> String {
        let name = status.membership.members.first { $0.id == id }?.name ?? ""
        return name.isEmpty ? MemberIdentity.text(id) : name
    }

    private func alarmText(_ alarm: AlarmType) -> String {
        switch alarm {
        case .nospace: "NOSPACE"
        case .corrupt: "CORRUPT"
        case .none, .unrecognized: "unknown"
        }
    }

    private var activity: String {
        let load = requestsPerSecond.map { ", \(Int($0.rounded())) requests/s" } ?? ""
        return "revision \(revision)" + load
    }
}

/// Bytes as people read them, three figures: `20.0 MiB`.
func byteText(_ bytes: Int64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(max(0, bytes))
    var unit = 0
    while value >= 1024, unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    if unit == 0 || value >= 100 { return "\(Int(value)) \(units[unit])" }
    let tenths = Int(value * 10)
    return "\(tenths / 10).\(tenths % 10) \(units[unit])"
}
