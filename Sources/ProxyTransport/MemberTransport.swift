import HTTP2
import NIOCore
import Synchronization
import TLS

/// TLS towards members. A context costs memory, the system's authorities above all, and so is made when the first secure endpoint
/// turns up; when the operator gave files or secure endpoints, ``prepare()`` makes it at once to find out what is wrong with them.
public final class MemberTransport: Sendable {
    private let settings: TLSClientSettings
    private let forHTTP2 = Mutex<TLSClientContext?>(nil)
    private let forHTTP1 = Mutex<TLSClientContext?>(nil)

    public init(_ settings: TLSClientSettings) { self.settings = settings }

    public func prepare() throws(TLSError) { _ = try context(forHTTP2, "h2") }

    public func http2(_ host: String) -> ClientTransportSecurity {
        { [self] channel in
            try channel.pipeline.syncOperations.addHandler(context(forHTTP2, "h2").makeHandler(host: host))
        }
    }

    public func http1Handler(_ host: String) throws(TLSError) -> TLSHandler {
        try context(forHTTP1, "http/1.1").makeHandler(host: host)
    }

    /// Reads the files again; why they cannot be used, if they cannot.
    public func reload() -> String? {
        [forHTTP2.withLock { $0 }?.reload(), forHTTP1.withLock { $0 }?.reload()].compactMap { $0 }.first.map { "\($0)" }
    }

    private func context(_ place: borrowing Mutex<TLSClientContext?>, _ name: String) throws(TLSError) -> TLSClientContext {
        try place.withLock { (made: inout sending TLSClientContext?) throws(TLSError) -> TLSClientContext in
            if let made { return made }
            var settings = settings
            settings.applicationProtocols = [name]
            let fresh = try TLSClientContext(settings)
            made = fresh
            return fresh
        }
    }
}
