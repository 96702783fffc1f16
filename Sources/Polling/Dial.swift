import Glibc
import NIOCore
import NIOPosix

/// One attempt to connect: the addresses of a host one after the other. Confined to its loop, which keeps it while it goes on.
public final class Dial: PolledSocket {
    public enum Failure: Error {
        case noAddress(String)
        case failed(SocketError)
        case timedOut
    }

    private let loop: PollingEventLoop
    private let limit: TimeAmount
    /// For each address.
    private var share = TimeAmount.zero
    private var addresses: ArraySlice<SocketAddress> = []
    private var descriptor: Int32?
    private var timer: Scheduled<Void>?
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
        rest(closing: true)
    }

    private func start(_ found: [SocketAddress]) {
        guard done != nil else { return }
        share = TimeAmount.nanoseconds(limit.nanoseconds / Int64(found.count))
        addresses = found[...]
        next(after: .noAddress("none"))
    }

    private func next(after failure: Failure) {
        var failure = failure
        while let address = addresses.popFirst() {
            do throws(SocketError) {
                let descriptor = try Sockets.startConnecting(to: address)
                self.descriptor = descriptor
                loop.watch(descriptor, for: self)
                timer = loop.assumeIsolated().scheduleTask(in: share) {
                    self.rest(closing: true)
                    self.next(after: .timedOut)
                }
                return
            } catch { failure = .failed(error) }
        }
        finish(.failure(failure))
    }

    public func ready(_ readiness: Readiness) {
        guard let descriptor, !readiness.isDisjoint(with: [.writable, .hangUp, .failed]) else { return }
        let code = Sockets.takeError(descriptor)
        rest(closing: code != 0)
        if code == 0 { finish(.success(descriptor)) } else { next(after: .failed(SocketError("connect", code))) }
    }

    public func goOn() {}

    private func rest(closing: Bool) {
        timer?.cancel()
        timer = nil
        if closing, let descriptor { loop.close(descriptor) }
        descriptor = nil
    }

    private func finish(_ result: Result<Int32, Failure>) {
        let told = done
        done = nil
        told?(result)
    }
}
