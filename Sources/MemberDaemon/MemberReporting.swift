import Host
import LinuxHost
import Member
import NIOCore
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
    func observe(
        _ member: MemberThread, _ pages: PageThread, _ group: any EventLoopGroup, others: [(String, any EventLoop)]
    ) {
        var loops = [
            WatchedLoop(member.pulse) { member.nudge() },
            WatchedLoop(pages.pulse) { pages.nudge() },
        ]
        let clients = group.makeIterator().enumerated().map { ("event loop \($0.offset)", $0.element) }
        for (name, eventLoop) in clients + others {
            let pulse = LoopPulse(name)
            loops.append(WatchedLoop(pulse) { eventLoop.execute { pulse.beat() } })
        }
        let rate = EventRate()
        notifier.observe(loops) { [metrics] in
            let published = member.published
            return MemberStatusLine(
                status: published.status, revision: published.view.currentRevision, membersUp: member.membersUp,
                isStalled: member.stall != nil,
                requestsPerSecond: rate.next(metrics.grpc.callsStarted, SystemClock.now())
            ).line
        }
    }
}
