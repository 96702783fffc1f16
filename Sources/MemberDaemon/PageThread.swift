import Backend
import LinuxHost
import Member
import PageStore
import Synchronization
import Systemd

/// The thread that commits to the page file, so that its two syncs a transaction hold nobody up.
final class PageThread: Sendable {
    private struct Work {
        var groups: [(group: CommitGroup, defragment: Bool)] = []
        var isStopping = false
        var isStalled = false
    }

    private let work = Mutex(Work())
    private let signal = WakeSignal()
    /// Since when the present commit has been under way.
    let commits = WorkProgress()
    let pulse = LoopPulse("page thread")

    /// From the member thread.
    func commit(_ group: CommitGroup, thenDefragment: Bool) {
        work.withLock { $0.groups.append((group, thenDefragment)) }
        signal.wake()
    }

    func nudge() { signal.wake() }
    func stallForTest() { work.withLock { $0.isStalled = true } }

    func stop() {
        work.withLock { $0.isStopping = true }
        signal.wake()
    }

    /// Runs until stopped, and carries out what is left then.
    func run(_ committer: PageCommitter, onCommit: (PageCommit) -> Void, onFailure: (String) -> Void) {
        while true {
            pulse.beat()
            if work.withLock({ $0.isStalled }) { TestHooks.stallForever() }
            let (groups, isStopping) = work.withLock { state in
                defer { state.groups = [] }
                return (state.groups, state.isStopping)
            }
            for item in groups {
                commits.began(SystemClock.now())
                defer { commits.ended() }
                pulse.beat()
                do throws(PageFileError) {
                    var commit = try committer.commit(item.group)
                    if item.defragment { commit = try committer.defragment(after: item.group.number) }
                    onCommit(commit)
                } catch {
                    return onFailure("\(error)")
                }
            }
            if groups.isEmpty {
                if isStopping { return }
                signal.wait(nil)
            }
        }
    }
}
