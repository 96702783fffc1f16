import HTTP2
import NIOCore

/// Asks peers over HTTP/1.1. All its connections live on one event loop; it may be asked from any thread.
public final class PeerHTTPClient: Sendable {
    /// Puts a TLS client's handler into a new connection's pipeline. It must pass on plain bytes, hold back `channelActive` until
    /// the handshake is done, and fire an error before it closes a connection whose handshake failed.
    public typealias TransportSecurity = @Sendable (_ channel: any Channel, _ serverName: String) throws -> Void

    public let eventLoop: any EventLoop
    let connector: NIOLoopBoundBox<HTTPConnector>

    /// - Parameters:
    ///   - dialTimeout: for connecting, with TLS's handshake.
    ///   - localAddress: that connections come from, its port 0; nil leaves that to the system.
    ///   - transportSecurity: for `https` and `unixs`; without it those URLs fail.
    public init(
        eventLoop: any EventLoop, dialTimeout: Duration = .seconds(2), localAddress: SocketAddress? = nil,
        transportSecurity: TransportSecurity? = nil
    ) {
        self.eventLoop = eventLoop
        connector = NIOLoopBoundBox.makeBoxSendingValue(
            HTTPConnector(
                eventLoop: eventLoop, dialTimeout: dialTimeout, localAddress: localAddress, transportSecurity: transportSecurity),
            eventLoop: eventLoop)
    }

    /// The future completes on ``eventLoop``, with a ``PeerRequestError`` when there is no answer. Statuses are for the caller to judge.
    public func request(_ request: PeerRequest) -> EventLoopFuture<PeerResponse> {
        let promise = eventLoop.makePromise(of: PeerResponse.self)
        if eventLoop.inEventLoop {
            start(request, promise)
        } else {
            eventLoop.execute { self.start(request, promise) }
        }
        return promise.futureResult
    }

    private func start(_ request: PeerRequest, _ promise: EventLoopPromise<PeerResponse>) {
        RequestInFlight(request, connector.value) { result in promise.completeWith(result.mapError { $0 }) }.begin()
    }

    /// Closes idle connections. What is under way ends by itself.
    public func close() {
        eventLoop.execute { self.connector.value.close() }
    }
}
