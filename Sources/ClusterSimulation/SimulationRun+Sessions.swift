import EtcdAPI
import Host
import Raft

/// Clients that watch: they move to another member when theirs is gone, sometimes for no reason, and sometimes they do not read.
extension SimulationRun {
    func scheduleSessions() {
        let count = Int.random(in: 2...6, using: &random)
        for number in 0..<count {
            let delay = Instant.Span.milliseconds(Int64.random(in: 0...8000, using: &random))
            cluster.schedule(after: delay) { [unowned self] in open(number) }
        }
        cluster.schedule(after: .milliseconds(300)) { [unowned self] in try tick() }
    }

    private func open(_ number: Int) {
        var request = WatchCreateRequest()
        switch Int.random(in: 0..<3, using: &random) {
        case 0: (request.key, request.rangeEnd) = (Array("key".utf8), Array("kez".utf8))
        case 1: (request.key, request.rangeEnd) = (Array("key101".utf8), Array("key104".utf8))
        default: request.key = Array("key100".utf8)
        }
        if Int.random(in: 0..<3, using: &random) == 0 { request.startRevision = Int64.random(in: 1...60, using: &random) }
        request.prevKv = Bool.random(using: &random)
        request.progressNotify = Bool.random(using: &random)
        if Int.random(in: 0..<4, using: &random) == 0 { request.filters = [Bool.random(using: &random) ? .noput : .nodelete] }
        let session = WatchSession(number: number, request: request, checker: log, bug: settings.bug)
        sessions.append(session)
        reattach(session)
    }

    /// Every 300 ms, until the end.
    private func tick() throws {
        for session in sessions {
            let isLost = session.at == nil || session.isCancelled || cluster.runningMember(session.at ?? 0)?.life != session.life
            let choice = Int.random(in: 0..<40, using: &random)
            if isLost || choice == 0 { reattach(session) }
            if choice == 1 { session.isWritable = false }
            if settings.bug == .earlyProgress, !isLost, let published = cluster.runningMember(session.at ?? 0)?.published {
                session.tellProgress(published.view.currentRevision)
            }
            if choice > 30 { session.isWritable = true }
            if choice == 2, let at = session.at { session.requestProgress(at: cluster.member(at)) }
        }
        for member in cluster.members where member.pausedUntil <= cluster.now {
            guard let process = member.process, !process.hub.isEmpty else { continue }
            if Int.random(in: 0..<10, using: &random) == 0 { process.hub.progressTick() }
            try deliver(process)
        }
        try throwEarly()
        cluster.schedule(after: .milliseconds(300)) { [unowned self] in try tick() }
    }

    func reattach(_ session: WatchSession) {
        if let at = session.at { session.detach(from: cluster.member(at)) }
        // One that was removed and has not stopped yet tells nothing new; in the end clients are with the others.
        let running = (isHealed ? belonging : cluster.members).filter { $0.isRunning && $0.pausedUntil <= cluster.now }
        guard !running.isEmpty else { return }
        session.attach(to: running[Int.random(in: 0..<running.count, using: &random)])
    }

    func deliver(_ process: MemberProcess) throws {
        guard !process.hub.isEmpty else { return }
        process.hub.advance(to: process.published.view, term: process.published.status.term)
        do { while try process.hub.step() {} } catch { throw Violation("watch", "\(error)") }
    }
}
