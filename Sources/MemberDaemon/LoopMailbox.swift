import Member
import NIOCore
import Synchronization

/// The way from the member thread to one event loop: answers pile up until the loop comes for them, and of published states only
/// the newest is kept, so a slow loop holds on to one view and not to a queue of them.
final class LoopMailbox: Sendable {
    typealias Answer = (request: UInt64, answer: MemberAnswer)

    private struct State {
        var answers: [Answer] = []
        var published: Published?
        var isScheduled = false
    }

    private let state = Mutex(State())
    private let eventLoop: any EventLoop
    private let receive: @Sendable ([Answer], Published?) -> Void
    /// Whether the loop wants every published state, because somebody watches.
    private let isWatching = Atomic(false)

    init(eventLoop: any EventLoop, receive: @escaping @Sendable ([Answer], Published?) -> Void) {
        self.eventLoop = eventLoop
        self.receive = receive
    }

    func setWatching(_ watching: Bool) { isWatching.store(watching, ordering: .releasing) }

    /// From whoever has the member, after the state is visible to all; without one where nothing changed.
    func deliver(_ answers: [Answer], _ published: Published?) {
        let wantsState = published != nil && isWatching.load(ordering: .acquiring)
        guard !answers.isEmpty || wantsState else { return }
        let mustSchedule = state.withLock { state in
            if state.answers.isEmpty { state.answers = answers } else { state.answers += answers }
            if wantsState { state.published = published }
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if mustSchedule { eventLoop.execute { self.open() } }
    }

    private func open() {
        let (answers, published) = state.withLock { state in
            defer { state = State() }
            return (state.answers, state.published)
        }
        receive(answers, published)
    }
}
