import HTTP2
import NIOCore

/// One plain request from its beginning to its answer. Keeps itself alive through what waits for it.
final class RequestInFlight: HTTPResponseReceiver {
    private let request: PeerRequest
    private let connector: HTTPConnector
    private var done: ((Result<PeerResponse, PeerRequestError>) -> Void)?
    private var connection: HTTPClientConnection?
    private var wasKept = false
    private var timer: DelayedCall?
    private var response: PeerResponse?

    /// - Parameter done: called once.
    init(
        _ request: PeerRequest, _ connector: HTTPConnector, _ done: @escaping (Result<PeerResponse, PeerRequestError>) -> Void
    ) {
        self.request = request
        self.connector = connector
        self.done = done
    }

    func begin() {
        guard let url = PeerURL(request.url) else { return finish(.failure(.badURL(request.url))) }
        timer = DelayedCall(connector.eventLoop, request.timeout) { self.giveUp(.timeout) }
        connect(url, fresh: false)
    }

    private func connect(_ url: PeerURL, fresh: Bool) {
        connector.connection(to: url, fresh: fresh) { [self] result in
            switch result {
            case .failure(let error): finish(.failure(error))
            case .success(let connection):
                guard done != nil else { return connector.keep(connection) }
                self.connection = connection
                wasKept = connection.hasServed
                let fields = request.fields
                connection.send(request.method, target: target(url), fields: fields, body: request.body, to: self)
            }
        }
    }

    /// What follows the authority.
    private func target(_ url: PeerURL) -> String {
        let path = request.url.dropFirst(url.description.count)
        return path.isEmpty ? "/" : String(path)
    }

    func responseBegan(status: Int, fields: [HTTPField]) { response = PeerResponse(status: status, fields: fields, body: []) }

    func responseBody(_ bytes: ByteBuffer) {
        guard done != nil else { return }
        guard (response?.body.count ?? 0) + bytes.readableBytes <= request.maximumBodyBytes else { return giveUp(.tooLarge) }
        response?.body.append(contentsOf: bytes.readableBytesView)
    }

    func responseEnded() {
        let used = connection
        connection = nil
        if let response { finish(.success(response)) }
        if let used { connector.keep(used) }
    }

    func responseFailed(_ reason: String, anything: Bool) {
        let url = connection?.url
        connection = nil
        if let url, wasKept, !anything, request.mayRepeat, done != nil { return connect(url, fresh: true) }
        finish(.failure(.closed(reason)))
    }

    private func giveUp(_ error: PeerRequestError) {
        connection?.close()
        connection = nil
        finish(.failure(error))
    }

    private func finish(_ result: Result<PeerResponse, PeerRequestError>) {
        timer?.cancel()
        timer = nil
        let tell = done
        done = nil
        tell?(result)
    }
}
