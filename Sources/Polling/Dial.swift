import Glibc
import NIOCore
import NIOPosix

/// One attempt to connect to a host. Of several addresses the next gets its turn when the one before has failed, or has said nothing
/// for a moment; whichever connects first is taken (RFC 8305). Confined to its loop, which keeps it while it goes on.
public final class Dial {
    public enum Failure: Error {
        case noAddress(String)
        case failed(SocketError)
        case timedOut
    }

    /// An address that says nothing is not waited for alone for longer than this (RFC 8305, section 8: 250 ms).
    public static let patience = TimeAmount.milliseconds(250)

    private let loop: PollingEventLoop
    private let limit: TimeAmount
    private var patience = Dial.patience
    /// Those whose turn has not come.
    private var addresses: ArraySlice<SocketAddress> = []
    private var running: [Connecting] = []
    private var deadline: Scheduled<Void>?
    private var nextTurn: Scheduled<Void>?
    /// nil once it was called, or will not be.
    private var done: ((Result<Int32, Failure>) -> Void)?

    /// - Parameters:
    ///   - limit: for all addresses together, names not counted.
    ///   - done: gets a descriptor that the loop watches already: whoever takes it watches it in the dial's place.
    public init(_ loop: PollingEventLoop, limit: Duration, _ done: @escaping (Result<Int32, Failure>) -> Void) {
        self.loop = loop
        self.limit = .nanoseconds(Int64(limit / .nanoseconds(1)))
        self.done = done
    }

    public func connect(toSocket path: String) {
        guard let address = try? SocketAddress(unixDomainSocketPath: path) else { return finish(.failure(.noAddress(path))) }
        start([address])
    }

    /// Names are looked up on a thread of the pool.
    public func connect(to host: String, port: Int, lookUp: NIOThreadPool) {
        if let address = try? SocketAddress(ipAddress: host, port: port) { return start([address]) }
        lookUp.runIfActive(eventLoop: loop) { Sockets.addresses(of: host, port: port) }.assumeIsolated().whenComplete { result in
            let found = (try? result.get()) ?? []
            if found.isEmpty { self.finish(.failure(.noAddress(host))) } else { self.start(found) }
        }
    }

    /// Nobody waits for it any more.
    public func cancel() {
        done = nil
        rest()
    }

    /// All of them have their turn before the limit, in the order given.
    func start(_ found: [SocketAddress]) {
        guard done != nil else { return }
        patience = min(patience, .nanoseconds(limit.nanoseconds / Int64(found.count)))
        addresses = found[...]
        deadline = loop.assumeIsolated().scheduleTask(in: limit) { self.finish(.failure(.timedOut)) }
        next(after: .noAddress("none"))
    }

    private func next(after failure: Failure) {
        nextTurn?.cancel()
        nextTurn = nil
        var failure = failure
        while let address = addresses.popFirst() {
            do throws(SocketError) {
                running.append(Connecting(try Sockets.startConnecting(to: address), self, loop))
                guard !addresses.isEmpty else { return }
                nextTurn = loop.assumeIsolated().scheduleTask(in: patience) { self.next(after: .timedOut) }
                return
            } catch { failure = .failed(error) }
        }
        if running.isEmpty { finish(.failure(failure)) }
    }

    fileprivate func ended(_ connecting: Connecting) {
        running.removeAll { $0 === connecting }
        let code = Sockets.takeError(connecting.descriptor)
        guard code != 0 else { return finish(.success(connecting.descriptor)) }
        loop.close(connecting.descriptor)
        next(after: .failed(SocketError("connect", code)))
    }

    private func rest() {
        for timer in [deadline, nextTurn] { timer?.cancel() }
        (deadline, nextTurn) = (nil, nil)
        for connecting in running { loop.close(connecting.descriptor) }
        running = []
        addresses = []
    }

    private func finish(_ result: Result<Int32, Failure>) {
        rest()
        let told = done
        done = nil
        told?(result)
    }
}

/// A socket on its way to one address.
private final class Connecting: PolledSocket {
    let descriptor: Int32
    private let dial: Dial

    init(_ descriptor: Int32, _ dial: Dial, _ loop: PollingEventLoop) {
        self.descriptor = descriptor
        self.dial = dial
        loop.watch(descriptor, for: self)
    }

    func ready(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.writable, .hangUp, .failed]) { dial.ended(self) }
    }

    func goOn() {}
}
