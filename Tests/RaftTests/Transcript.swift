@testable import Raft

/// How scripts show messages, effects and states, one line each.
enum Transcript {
    static func describe(_ entry: Entry) -> String {
        let place = "\(entry.index)/\(entry.term)"
        switch entry.kind {
        case .normal:
            return entry.data.isEmpty ? place : place + ":" + String(decoding: entry.data, as: UTF8.self)
        case .configurationChange, .configurationChangeV2:
            guard let change = try? ConfigurationChange(decoding: entry.kind, entry.data) else { return place + ":garbage" }
            return place + ":" + describe(change)
        }
    }

    static func describe(_ change: ConfigurationChange) -> String {
        if change.leavesJoint { return "leave" }
        let steps = change.steps.map { step in
            let sign =
                switch step.kind {
                case .addVoter: "+"
                case .addLearner: "~"
                case .remove: "-"
                case .update: "="
                }
            return sign + "\(step.member)"
        }
        return "change(\(steps.joined(separator: " ")))" + (change.entersJoint ? " joint \(change.transition)" : "")
    }

    static func describe(_ state: ConfState) -> String {
        func list(_ members: [MemberID]) -> String { members.map { "\($0)" }.joined(separator: ",") }
        var parts = ["voters \(list(state.voters))"]
        if !state.votersOutgoing.isEmpty { parts.append("outgoing \(list(state.votersOutgoing))") }
        if !state.learners.isEmpty { parts.append("learners \(list(state.learners))") }
        if !state.learnersNext.isEmpty { parts.append("next learners \(list(state.learnersNext))") }
        if state.autoLeave { parts.append("leaves by itself") }
        return parts.joined(separator: ", ")
    }

    static func describe(_ message: Message) -> String {
        var parts = ["\(message.from) -> \(message.to) \(message.kind)"]
        if message.term > 0 { parts.append("term \(message.term)") }
        switch message.kind {
        case .append:
            parts.append("after \(message.index)/\(message.logTerm)")
            parts.append("[" + message.entries.map(describe).joined(separator: " ") + "]")
            parts.append("commit \(message.commit)")
        case .appendResponse where message.reject:
            parts.append("refuses \(message.index), hint \(message.rejectHint)/\(message.logTerm)")
        case .appendResponse:
            parts.append("has \(message.index)")
        case .vote, .preVote:
            parts.append("log ends \(message.index)/\(message.logTerm)" + (message.context.isEmpty ? "" : ", forced"))
        case .voteResponse, .preVoteResponse:
            parts.append(message.reject ? "no" : "yes")
        case .heartbeat:
            parts.append("commit \(message.commit)" + (message.context.isEmpty ? "" : ", round \(message.context[0])"))
        case .heartbeatResponse:
            if !message.context.isEmpty { parts.append("round \(message.context[0])") }
        case .snapshot:
            let snapshot = message.snapshot ?? Snapshot()
            parts.append("at \(snapshot.index)/\(snapshot.term), \(describe(snapshot.confState))")
        case .proposal:
            let contents = message.entries.map { $0.kind == .normal ? String(decoding: $0.data, as: UTF8.self) : describe($0) }
            parts.append("[" + contents.joined(separator: " ") + "]")
        case .readIndex:
            parts.append("[" + message.entries.map { String(decoding: $0.data, as: UTF8.self) }.joined(separator: " ") + "]")
        case .readIndexResponse:
            parts.append(
                "[" + message.entries.map { String(decoding: $0.data, as: UTF8.self) }.joined() + "] at \(message.index)")
        case .timeoutNow, .transferLeader, .unreachable, .snapshotStatus:
            break
        }
        return parts.joined(separator: " ")
    }

    /// Everything but messages and entries to apply.
    static func describe(_ effects: Effects, of member: MemberID) -> [String] {
        var lines: [String] = []
        if let change = effects.leadership {
            let reason = change.stepDownReason.map { " because \($0)" } ?? ""
            lines.append("\(member) is \(change.role) of term \(change.term), leader \(change.leader)\(reason)")
        }
        var writes: [String] = []
        if let snapshot = effects.snapshot { writes.append("snapshot \(snapshot.index)/\(snapshot.term)") }
        if !effects.entries.isEmpty { writes.append("[" + effects.entries.map(describe).joined(separator: " ") + "]") }
        if let state = effects.hardState { writes.append("term \(state.term) vote \(state.vote) commit \(state.commit)") }
        if !writes.isEmpty {
            lines.append("\(member) writes \(writes.joined(separator: ", "))" + (effects.mustSync ? "" : ", no sync"))
        }
        for state in effects.readStates {
            lines.append("\(member) may read \(String(decoding: state.context, as: UTF8.self)) at \(state.index)")
        }
        for context in effects.abandonedReads {
            lines.append("\(member) abandons read \(String(decoding: context, as: UTF8.self))")
        }
        for follower in effects.snapshotsWanted { lines.append("\(member) wants a snapshot for \(follower)") }
        return lines
    }

    static func describe(_ status: RaftStatus) -> [String] {
        var lines = [
            "\(status.id) \(status.role) term \(status.term) vote \(status.vote) leader \(status.leader) commit \(status.commit)"
                + " applied \(status.applied) log \(status.firstIndex)...\(status.lastIndex)"
        ]
        for peer in status.peers where peer.id != status.id {
            var line = "  \(peer.id) \(peer.state) match \(peer.match) next \(peer.next)"
            if peer.isLearner { line += " learner" }
            if peer.inflight > 0 { line += " inflight \(peer.inflight)" }
            if peer.isPaused { line += " paused" }
            if !peer.isRecentlyActive { line += " inactive" }
            if peer.pendingSnapshot > 0 { line += " snapshot \(peer.pendingSnapshot)" }
            lines.append(line)
        }
        return lines
    }
}
