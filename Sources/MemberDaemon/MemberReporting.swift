import Host
import LinuxHost
import Member
import NIOCore
import Synchronization
import Systemd

extension MemberDaemon {
    /// A long start tells systemd how far it is, so that it is not taken for a hung one.
    func report(_ progress: OpeningProgress) {
        switch progress {
        case .replayed(let progress):
            notifier.post(
                .progress("reading the write-ahead log: segment \(progress.segment), \(byteText(Int64(progress.offset)))"))
        case .indexed(let revisions): notifier.post(.progress("building the key index: \(revisions) revisions"))
        }
    }

    /// From now on systemd is told how the member does, and its watchdog that every loop runs.
    func observe(_ member: MemberThread, _ pages: PageThread, _ group: any EventLoopGroup) {
        var loops = [
            WatchedLoop(member.pulse) { member.nudge() },
            WatchedLoop(pages.pulse) { pages.nudge() },
        ]
        for (index, eventLoop) in group.makeIterator().enumerated() {
            let pulse = LoopPulse("event loop \(index)")
            loops.append(WatchedLoop(pulse) { eventLoop.execute { pulse.beat() } })
        }
        let rate = RequestRate()
        notifier.observe(loops) { [metrics] in
            let published = member.published
            return MemberStatusLine(
                status: published.status, revision: published.view.currentRevision, membersUp: 1,
                isStalled: member.stall != nil,
                requestsPerSecond: rate.next(metrics.grpc.callsStarted, SystemClock.now())
            ).line
        }
    }
}

/// Calls a second between two looks at a counter.
private final class RequestRate: Sendable {
    private let last = Mutex<(count: UInt64, at: Instant, rate: Double?)?>(nil)

    func next(_ count: UInt64, _ now: Instant) -> Double? {
        last.withLock { last in
            guard let before = last else {
                last = (count, now, nil)
                return nil
            }
            let span = (now - before.at).seconds
            // Events between two ticks ask for a status line too; a rate needs some time.
            guard span >= 0.5 else { return before.rate }
            let rate = Double(count &- before.count) / span
            last = (count, now, rate)
            return rate
        }
    }
}
