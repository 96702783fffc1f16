import Bytes
import EtcdAPI

extension StateMachine {
    func alarm(_ request: AlarmRequest, _ effects: inout [ApplyEffect]) -> ApplyReply {
        var answer: [AlarmMember] = []
        switch request.action {
        case .get: answer = alarms.of(request.alarm)
        case .activate:
            guard request.alarm != .none else { break }
            let (alarm, isNew) = alarms.activate(member: request.memberID, request.alarm)
            if isNew {
                store.put(.alarm, key: AlarmTable.key(alarm), value: [])
                effects.append(.alarmRaised(alarm))
            }
            answer = [alarm]
        case .deactivate:
            if let alarm = alarms.deactivate(member: request.memberID, request.alarm) {
                store.delete(.alarm, key: AlarmTable.key(alarm))
                effects.append(.alarmLifted(alarm))
                answer = [alarm]
            }
        default: break
        }
        return respond { AlarmResponse(header: header, alarms: answer).encode(into: &$0) }
    }
}
