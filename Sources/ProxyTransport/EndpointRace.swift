import Balancing
import NIOCore
import NIOPosix
import Polling

/// Looks for an endpoint that takes a client's connection. One that refuses is replaced by the next at once, and one that says nothing
/// gets company after a moment: an address that swallows what is sent to it costs a quarter of a second and not a time-out. Whichever
/// connects first carries the connection. Those that were late then are still given the rest of their time, for the balancer has to
/// know whether they can be reached at all. Confined to its event loop; what runs holds it.
final class EndpointRace {
    struct Winner {
        let endpoint: EndpointID
        let address: EndpointAddress
        /// Watched by the loop already.
        let descriptor: Int32
    }

    private struct Runner {
        let endpoint: EndpointID
        let address: EndpointAddress
        let dial: Dial
        let began: NIODeadline
    }

    private let loop: RelayLoop
    private let affinity: UInt64?
    private var tried: [EndpointID] = []
    private var running: [Runner] = []
    private var nextTurn: Scheduled<Void>?
    /// nil once it was called, or will not be.
    private var done: ((Winner?) -> Void)?

    /// - Parameter done: gets nil when there is no endpoint, or none is left. The winner's account with the balancer is still open.
    init(_ loop: RelayLoop, affinity: UInt64?, _ done: @escaping (Winner?) -> Void) {
        self.loop = loop
        self.affinity = affinity
        self.done = done
    }

    /// Endpoints so far.
    var attempts: Int { tried.count }

    /// Lets the next endpoint run; the first time it starts the race.
    func goOn() {
        nextTurn?.cancel()
        nextTurn = nil
        guard done != nil else { return }
        guard let id = loop.balancer.pick(.connection, affinity: affinity, excluding: tried),
            let address = loop.balancer.address(of: id)
        else {
            if running.isEmpty { finish(nil) }
            return
        }
        if !tried.isEmpty { loop.balancer.countRetry() }
        tried.append(id)
        loop.balancer.began(id)
        let dial = Dial(loop.polling, limit: loop.settings.connectTimeout) { [self] in ended(id, $0) }
        // Before it begins, because it may fail at once.
        running.append(Runner(endpoint: id, address: address, dial: dial, began: loop.eventLoop.now))
        nextTurn = loop.eventLoop.assumeIsolated().scheduleTask(in: Dial.patience) { [weak self] in self?.isLate(id) }
        if address.isUnixSocket {
            dial.connect(toSocket: address.socketPath)
        } else {
            dial.connect(to: address.host, port: Int(address.port), lookUp: .singleton)
        }
    }

    private func isLate(_ id: EndpointID) {
        loop.balancer.suspect(id)
        goOn()
    }

    private func ended(_ id: EndpointID, _ result: Result<Int32, Dial.Failure>) {
        guard let runner = take(id) else { preconditionFailure("an endpoint that does not run has ended") }
        switch result {
        case .success(let descriptor):
            loop.balancer.answered(id, latency: .nanoseconds((loop.eventLoop.now - runner.began).nanoseconds))
            guard done != nil else {
                loop.polling.close(descriptor)
                return loop.balancer.finished(id, .abandoned)
            }
            finish(Winner(endpoint: id, address: runner.address, descriptor: descriptor))
        case .failure(let failure):
            let isTimeout = if case .timedOut = failure { true } else { false }
            loop.balancer.finished(id, isTimeout ? .connectTimedOut : .connectFailed)
            goOn()
        }
    }

    /// Nothing has been sent to it: another one takes its place.
    func endpointLeft(_ id: EndpointID) {
        guard let runner = take(id) else { return }
        giveUp(runner)
        goOn()
    }

    private func take(_ id: EndpointID) -> Runner? {
        running.firstIndex { $0.endpoint == id }.map { running.remove(at: $0) }
    }

    private func giveUp(_ runner: Runner) {
        runner.dial.cancel()
        loop.balancer.finished(runner.endpoint, .abandoned)
    }

    /// Nobody waits for it any more.
    func cancel() {
        done = nil
        finish(nil)
    }

    private func finish(_ winner: Winner?) {
        nextTurn?.cancel()
        nextTurn = nil
        let now = loop.eventLoop.now
        for runner in running where now - runner.began < Dial.patience { giveUp(runner) }
        running.removeAll { now - $0.began < Dial.patience }
        let told = done
        done = nil
        told?(winner)
    }
}
