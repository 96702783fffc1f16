import EtcdAPI
import Host
import MVCC
import Raft
import StateMachine

/// What a member does about data that differs between members.
extension Member {
    private var knownToWatch: CorruptionWatch.Known {
        CorruptionWatch.Known(
            member: settings.memberID, others: machine.membership.members.count { $0.id != settings.memberID },
            revision: machine.store.currentRevision, storedHashes: machine.store.storedHashes)
    }

    /// The leader's; everything committed is applied.
    func compareData(now: Instant) {
        output.hashQuestion = corruption.question(now: now, knownToWatch)
    }

    func heard(_ answers: HashAnswers) {
        guard raft.role == .leader else { return }
        for finding in corruption.heard(answers, knownToWatch) {
            switch finding {
            case .same(let revision, let compactRevision):
                output.events.append(.dataCompared(revision: revision, compactRevision: compactRevision))
            case .skipped(let revision, let members):
                output.events.append(.dataNotCompared(revision: revision, members: members))
            case .different(let difference):
                output.events.append(.dataDiffers(difference))
                guard difference.verdict == .alarm, !machine.alarms.isRaised(.corrupt, against: difference.member) else {
                    continue
                }
                proposeOwn(.raiseCorrupt(difference.member))
            }
        }
    }

    /// Its own data is known to be wrong: what it would send a follower must not spread.
    var isKnownCorrupt: Bool { machine.alarms.isRaised(.corrupt, against: settings.memberID) }

    /// A leader whose data is wrong could supply nobody with a snapshot.
    func leaveLeadershipIfCorrupt(now: Instant) {
        if isKnownCorrupt { _ = giveLeadershipAway(now: now) }
    }
}
