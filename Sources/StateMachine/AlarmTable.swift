import Backend
import Bytes
import EtcdAPI

/// Alarms by member, as the `alarm` bucket keeps them: the encoded `AlarmMember` is the key, the value is empty.
public struct AlarmTable: Equatable, Sendable {
    /// Sorted by member, then kind; two at most per member.
    public private(set) var members: [AlarmMember] = []

    public init(_ members: [AlarmMember] = []) {
        self.members = members
        sort()
    }

    public func of(_ alarm: AlarmType) -> [AlarmMember] {
        alarm == .none ? members : members.filter { $0.alarm == alarm }
    }

    public func isRaised(_ alarm: AlarmType) -> Bool { members.contains { $0.alarm == alarm } }

    public func isRaised(_ alarm: AlarmType, against member: UInt64) -> Bool {
        members.contains { $0.alarm == alarm && $0.memberID == member }
    }

    /// The alarm, whether or not it was raised before; nil when nothing changed.
    mutating func activate(member: UInt64, _ alarm: AlarmType) -> (alarm: AlarmMember, isNew: Bool) {
        let wanted = AlarmMember(memberID: member, alarm: alarm)
        if members.contains(wanted) { return (wanted, false) }
        members.append(wanted)
        sort()
        return (wanted, true)
    }

    mutating func deactivate(member: UInt64, _ alarm: AlarmType) -> AlarmMember? {
        let wanted = AlarmMember(memberID: member, alarm: alarm)
        guard let at = members.firstIndex(of: wanted) else { return nil }
        return members.remove(at: at)
    }

    private mutating func sort() {
        members.sort { ($0.memberID, $0.alarm.rawValue) < ($1.memberID, $1.alarm.rawValue) }
    }

    static func key(_ alarm: AlarmMember) -> [UInt8] {
        var writer = ByteWriter(capacity: 16)
        alarm.encode(into: &writer)
        return writer.array()
    }
}
