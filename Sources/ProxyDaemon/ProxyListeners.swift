import Configuration
import Daemon
import GRPC
import Glibc
import HTTP2
import NIOCore
import NIOPosix
import Synchronization
import Systemd
import Telemetry

/// The listeners for the proxy's own pages: `--listen-metrics-urls`, and a socket in the data directory that the status command asks.
final class ProxyListeners: Sendable {
    private let server = Mutex<HTTPServer?>(nil)
    private let endpoints = Mutex<[ServerEndpoint]>([])

    /// The socket's name in the data directory.
    static let socketName = "proxy.sock"

    func openPages(
        _ group: any EventLoopGroup, _ source: PageSource, _ configuration: ProxyConfiguration,
        _ inherited: inout InheritedSockets, _ log: Log
    ) throws {
        let made = try HTTPServer.make(group: group, configuration: ServerConfiguration()) { loop in
            let pages = ProxyPages(eventLoop: loop.eventLoop, source: source, isOwnListener: true)
            let dispatcher = GRPCDispatcher(router: NoProcedures(), http: pages, loop: loop)
            return ServerApplication(http2: dispatcher, http1: pages)
        }.wait()
        server.withLock { $0 = made }
        for url in configuration.listenMetricsURLs {
            let endpoint = try made.listen(on: inherited.address("metrics", url)).wait()
            endpoints.withLock { $0.append(endpoint) }
            log.info("serving the proxy's pages", ["address": .string(url.description)])
        }
        openSocket(made, configuration.dataDirectory, log)
    }

    /// Without it only the status command suffers, so that is no reason not to start.
    private func openSocket(_ server: HTTPServer, _ directory: String, _ log: Log) {
        guard !directory.isEmpty else { return }
        let path = directory + "/" + Self.socketName
        if mkdir(directory, 0o700) != 0, errno != EEXIST {
            return log.warn(
                "the data directory cannot be made",
                ["data-dir": .string(directory), "error": .string(String(cString: strerror(errno)))])
        }
        do {
            // The mask is the process's own; no other thread makes files at this point of the start.
            let mask = umask(0o077)
            defer { umask(mask) }
            let endpoint = try server.listen(on: .unix(path: path, replaceExisting: true)).wait()
            endpoints.withLock { $0.append(endpoint) }
        } catch {
            log.warn("no socket for the status command", ["path": .string(path), "error": .error(error)])
        }
    }

    func close() {
        for endpoint in endpoints.withLock({ $0 }) { try? endpoint.close().wait() }
        try? server.withLock { $0 }?.drain(deadline: .seconds(1)).wait()
    }
}

/// A router without procedures: the pages' listeners serve no gRPC.
private final class NoProcedures: GRPCRouter {
    let methods = GRPCMethodTable([])
    func handler(for method: Int, stream: GRPCStream) -> (any GRPCStreamHandler)? { nil }
    func readCompleted() {}
}
