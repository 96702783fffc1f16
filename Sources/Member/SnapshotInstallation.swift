import MVCC
import PageStore
import Raft
import Records
import StateMachine
import Synchronization

/// A leader's snapshot that raft has taken: its database lies beside the page file and has to take its place.
///
/// Reading a large database takes its time, so whoever owns the page file does it and the member goes on meanwhile: it answers
/// its leader, votes, and serves what it had published, and applies nothing.
public struct SnapshotInstallation: Sendable {
    public let index: LogIndex
    let membership: MembershipRecord
    let settings: MemberSettings

    init(index: LogIndex, membership: MembershipRecord, settings: MemberSettings) {
        self.index = index
        self.membership = membership
        self.settings = settings
    }

    /// Swaps the databases and reads the new one. Readers of the old one keep it, nameless, until they let go.
    ///
    /// On the thread that owns the page file, after all groups handed out before are committed or dropped. The result's
    /// ``InstalledSnapshot/pageFile`` takes the place of the file they went to. `progress` is called with the number of revisions
    /// read, now and then.
    public func carryOut(
        _ opening: StateMachineOpening, progress: (Int) -> Void = { _ in }
    ) throws(MemberFailure) -> InstalledSnapshot {
        guard try opening.adoptDatabase(at: index) else {
            throw .directory("\(opening.directory.snapshotPath) lacks the database of the snapshot at index \(index)")
        }
        var opening = opening
        // It was written a moment ago.
        opening.options.readsAhead = false
        let file = try opening.openPageFile()
        let (machine, _) = try opening.openMachine(file, settings, membership: membership, progress: progress)
        guard machine.appliedIndex >= index else {
            throw .directory(
                "the database received with the snapshot at index \(index) holds entries up to \(machine.appliedIndex) only")
        }
        return InstalledSnapshot(index: index, machine: machine, pageFile: file)
    }
}

/// A state machine on its way to the member that will own it.
public final class InstalledSnapshot: Sendable {
    public let index: LogIndex
    public let pageFile: PageFile
    let sizeInUse: Int64
    private let machine: Mutex<Handover?>

    /// Made by one thread, which lets go of it, and taken once by another: the lock between them orders the two, and nobody else
    /// has a reference.
    private struct Handover: @unchecked Sendable {
        let machine: StateMachine
    }

    init(index: LogIndex, machine: StateMachine, pageFile: PageFile) {
        self.index = index
        self.pageFile = pageFile
        sizeInUse = Int64(pageFile.space.inUse)
        self.machine = Mutex(Handover(machine: machine))
    }

    func takeMachine() -> StateMachine {
        let handover = machine.withLock { state in
            defer { state = nil }
            return state
        }
        guard let handover else { preconditionFailure("an installed snapshot is taken once") }
        return handover.machine
    }
}
