import Member
import Synchronization

/// The member, for one thread at a time.
///
/// Its own thread takes the turns that may wait for the disk. Brief ones run on the event loop where their cause arrived: to wake
/// another thread and be woken by it again costs several times such a turn, and a read in a cluster needs three on its way. So do turns for
/// a lone client's write, while the disk is quick.
final class SharedMember: @unchecked Sendable {
    // Only touched with the lock held, so by one thread at a time, each after what the one before did.
    private var member: Member?
    private var pace = TurnPace()
    private let lock = Mutex(())

    func begin(_ member: Member) { lock.withLock { _ in self.member = member } }
    func end() { lock.withLock { _ in member = nil } }

    /// What must be seen before the next turn, such as a published state, belongs into `body`.
    func take<E: Error>(_ body: (Member, inout TurnPace) throws(E) -> Void) throws(E) {
        try lock.withLock { (_) throws(E) in
            guard let member else { preconditionFailure("a turn of a member that has ended") }
            try body(member, &pace)
        }
    }

    /// Without waiting; does nothing while another thread has a turn, or there is no member.
    func takeIfFree(_ body: (Member, inout TurnPace) -> Void) {
        _ = lock.withLockIfAvailable { _ in
            if let member { body(member, &pace) }
        }
    }
}
