import MVCC
import Member
import Membership
import NIOCore
import NIOPosix
import Records

/// Puts a ``HashQuestion`` to the other members, one after the other so that never more than one of them is busy with it, and takes this
/// member's own hash where it is wanted.
final class HashRounds: Sendable {
    /// A whole history is read for some questions.
    private static let timeout = Duration.seconds(600)
    /// Bytes of the history read in one go, a few milliseconds' work.
    private static let sliceBytes = 4 << 20
    /// Between two slices a pause of so many times what the slice took: a quarter of one thread's time is used at most.
    private static let pauseFactor: Int64 = 3

    private let network: PeerNetwork
    private let pool: NIOThreadPool
    private let memberID: UInt64
    private let clusterID: UInt64

    init(_ network: PeerNetwork, _ pool: NIOThreadPool, memberID: UInt64, clusterID: UInt64) {
        self.network = network
        self.pool = pool
        self.memberID = memberID
        self.clusterID = clusterID
    }

    /// `view`: of this member, published with the question. The future fails when this member's own data cannot be read.
    func ask(_ question: HashQuestion, _ members: [MemberRecord], _ view: ReadView) -> EventLoopFuture<HashAnswers> {
        let others = members.filter { $0.id != memberID }
        let reports = ask(others[...], at: question.revision, [])
        let own: EventLoopFuture<KeyValueHash?> =
            question.wantsOwn ? ownHash(view, at: question.revision) : network.eventLoop.makeSucceededFuture(nil)
        return own.and(reports).map { HashAnswers(round: question.round, own: $0, others: $1) }
    }

    private func ask(
        _ members: ArraySlice<MemberRecord>, at revision: Int64, _ reports: [HashAnswers.Report]
    ) -> EventLoopFuture<[HashAnswers.Report]> {
        guard let member = members.first else { return network.eventLoop.makeSucceededFuture(reports) }
        let isQuorate = network.version(of: member).map(\.isQuorate).flatMapErrorThrowing { _ in false }
        let answer = network.hash(of: member, at: revision, clusterID: clusterID, timeout: HashRounds.timeout)
        return isQuorate.and(answer).flatMap { isQuorate, answer in
            let report = HashAnswers.Report(member: member.id, isQuorate: isQuorate, answer: answer)
            return self.ask(members.dropFirst(), at: revision, reports + [report])
        }
    }

    /// nil where the revision has been compacted.
    private func ownHash(_ view: ReadView, at revision: Int64) -> EventLoopFuture<KeyValueHash?> {
        do throws(StoreError) { return goOn(try KeyValueHashing(view, at: revision)) } catch {
            if error == .compacted { return network.eventLoop.makeSucceededFuture(nil) }
            return network.eventLoop.makeFailedFuture(error)
        }
    }

    private func goOn(_ hashing: KeyValueHashing) -> EventLoopFuture<KeyValueHash?> {
        let began = NIODeadline.now()
        return pool.runIfActive(eventLoop: network.eventLoop) {
            var hashing = hashing
            let hash = try hashing.step(bytes: HashRounds.sliceBytes)
            return (hashing, hash)
        }.flatMap { hashing, hash in
            if let hash { return self.network.eventLoop.makeSucceededFuture(hash) }
            let pause = TimeAmount.nanoseconds((NIODeadline.now() - began).nanoseconds * HashRounds.pauseFactor)
            return self.network.eventLoop.flatScheduleTask(in: pause) { self.goOn(hashing) }.futureResult
        }
    }
}
