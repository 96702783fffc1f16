import Member
import Membership
import Telemetry

extension MemberDaemon {
    /// Stops before anything is proposed where another member runs a release that this one does not go with. One that is down now is
    /// refused when it connects.
    func refusalOfReleases(_ opened: borrowing OpenedMember, _ network: PeerNetwork) -> String? {
        let memberID = opened.settings.memberID
        let others = opened.storedMembers.filter { $0.id != memberID }
        do throws(BootstrapRefusal) {
            try Bootstrap.check(network.versions(of: others), fit: opened.settings.behavesAs)
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// Asks the other members for their hashes at this one's newest revision; nil for a member that starts with no data, or where
    /// the check is off.
    func bootCheck(_ opened: borrowing OpenedMember, _ network: PeerNetwork) throws(MemberFailure) -> BootCorruptionCheck? {
        guard configuration.featureGates.isEnabled(.initialCorruptCheck), !opened.notices.contains(.created) else { return nil }
        let others = opened.storedMembers.filter { $0.id != opened.settings.memberID }
        // An only member has nobody to compare its data with.
        guard !others.isEmpty else { return BootCorruptionCheck(own: nil, answers: []) }
        let own = try opened.hashKeyValues()
        let clusterID = opened.settings.clusterID
        let timeout = Duration.nanoseconds(opened.settings.requestTimeout.nanoseconds)
        // A hash may take a member a while; one that does not even answer at once is not waited for.
        let asked = others.map { other in
            network.version(of: other)
                .flatMap { _ in network.hash(of: other, at: own.revision, clusterID: clusterID, timeout: timeout) }
                .flatMapErrorThrowing { .unreachable(reason: "\($0)") }
        }
        var answers: [(member: UInt64, answer: HashAnswer)] = []
        for (other, answer) in zip(others, asked) {
            // Never fails: what goes wrong is an answer.
            answers.append((other.id, (try? answer.wait()) ?? .unreachable(reason: "the member stops")))
        }
        return BootCorruptionCheck(own: own, answers: answers)
    }

    /// Why the member must not serve the data it found, or nil. `check` is nil for a member that starts with no data.
    func corruptionAtBoot(_ check: BootCorruptionCheck?, memberID: UInt64) -> String? {
        guard configuration.featureGates.isEnabled(.initialCorruptCheck), let check else { return nil }
        let own: LogValue = .id(memberID)
        log.info("starting initial corruption check", ["local-member-id": own])
        for (member, answer) in check.answers { report(check.finding(on: answer), answer, check, own: own, of: .id(member)) }
        if check.isCorrupt { return "found data inconsistency with peers" }
        log.info("initial corruption checking passed; no corruption", ["local-member-id": own])
        return nil
    }

    private func report(
        _ finding: BootCorruptionCheck.Finding, _ answer: HashAnswer, _ check: BootCorruptionCheck, own: LogValue,
        of member: LogValue
    ) {
        guard case .hash(let other) = answer, let hash = check.own else {
            return log.warn(
                "cannot compare hashes with remote peer",
                ["local-member-id": own, "remote-peer-id": member, "reason": .string("\(answer)")])
        }
        guard finding != .same else { return }
        log.warn(
            finding == .differentData
                ? "found different hash values from remote peer" : "found different compact revision values from remote peer",
            [
                "local-member-id": own, "local-member-revision": .int(hash.revision),
                "local-member-compact-revision": .int(hash.compactRevision), "local-member-hash": .int(hash.hash),
                "remote-peer-id": member, "remote-peer-revision": .int(other.revision),
                "remote-peer-compact-revision": .int(other.compactRevision), "remote-peer-hash": .int(other.hash),
            ])
    }
}
