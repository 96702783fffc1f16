import Backend
import Host
import LinuxHost
import Member
import PageStore
import Synchronization
import Systemd

/// The thread that commits to the page file, so that its two syncs a transaction hold nobody up.
final class PageThread: Sendable {
    private enum Item {
        case commit(CommitGroup, thenDefragment: Bool)
        case install(SnapshotInstallation)
    }

    private struct Work {
        var items: [Item] = []
        var isStopping = false
        var isStalled = false
    }

    /// What comes of the work, told on this thread.
    struct Outcomes {
        let committed: (PageCommit) -> Void
        let installed: (InstalledSnapshot) -> Void
        let failed: (String) -> Void
    }

    private let work = Mutex(Work())
    private let signal = WakeSignal()
    /// Since when the present commit has been under way.
    let commits = WorkProgress()
    let pulse = LoopPulse("page thread")

    /// From the member thread.
    func commit(_ group: CommitGroup, thenDefragment: Bool) { add(.commit(group, thenDefragment: thenDefragment)) }

    /// From the member thread: after the commits handed over before, a leader's database takes the file's place.
    func install(_ snapshot: SnapshotInstallation) { add(.install(snapshot)) }

    private func add(_ item: Item) {
        work.withLock { $0.items.append(item) }
        signal.wake()
    }

    /// Pages that have been read stay mapped, and count as the process's memory, until they are let go. Mapping what is still needed again
    /// costs a fault for 64 KiB of it.
    private static let mappingParts = 8
    private static let mappingPause = Instant.Span.seconds(1)

    func nudge() { signal.wake() }
    func stallForTest() { work.withLock { $0.isStalled = true } }

    func stop() {
        work.withLock { $0.isStopping = true }
        signal.wake()
    }

    /// Runs until stopped, and carries out what is left then.
    func run(_ first: PageCommitter, _ opening: StateMachineOpening, _ outcomes: Outcomes) {
        var committer = first
        var part = 0
        var letsGoAt = SystemClock.now() + PageThread.mappingPause
        while true {
            pulse.beat()
            if work.withLock({ $0.isStalled }) { TestHooks.stallForever() }
            let (items, isStopping) = work.withLock { state in
                defer { state.items = [] }
                return (state.items, state.isStopping)
            }
            for item in items {
                pulse.beat()
                do {
                    try carryOut(item, &committer, opening, outcomes)
                } catch {
                    return outcomes.failed("\(error)")
                }
            }
            if SystemClock.now() >= letsGoAt {
                committer.file.letGo(part: part, of: PageThread.mappingParts)
                part = (part + 1) % PageThread.mappingParts
                letsGoAt = SystemClock.now() + PageThread.mappingPause
            }
            if items.isEmpty {
                if isStopping { return }
                signal.wait(letsGoAt - SystemClock.now())
            }
        }
    }

    private func carryOut(
        _ item: Item, _ committer: inout PageCommitter, _ opening: StateMachineOpening, _ outcomes: Outcomes
    ) throws {
        switch item {
        case .commit(let group, let thenDefragment):
            commits.began(SystemClock.now())
            defer { commits.ended() }
            var commit = try committer.commit(group)
            if thenDefragment { commit = try committer.defragment(after: group.number) }
            outcomes.committed(commit)
        case .install(let snapshot):
            // Its length says nothing about the disk, so it is no stall.
            let installed = try snapshot.carryOut(opening) { _ in pulse.beat() }
            committer = PageCommitter(installed.pageFile)
            outcomes.installed(installed)
        }
    }
}
