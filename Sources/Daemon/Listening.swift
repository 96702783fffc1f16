import Configuration
import HTTP2
import Systemd

extension EndpointURL {
    public var listenAddress: ListenAddress {
        if isUnixSocket { return .unix(path: socketPath, replaceExisting: true) }
        return .tcp(host: host, port: Int(port))
    }
}

extension InheritedSockets {
    /// Where a listener of the configuration listens: on the socket that systemd opened for it, or on one of its own.
    public mutating func address(_ name: String, _ url: EndpointURL) -> ListenAddress {
        let place: InheritedSocket.Address = url.isUnixSocket ? .path(url.socketPath) : .port(url.port)
        return take(name, place).map { .descriptor($0) } ?? url.listenAddress
    }
}
