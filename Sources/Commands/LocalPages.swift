import Balancing
import Glibc
import NIOCore
import NIOPosix
import ProxyTransport
import TLS

/// Pages of the daemons on this host.
final class LocalPages {
    struct Problem: Error {
        let reason: String
    }

    private static let patience = Duration.seconds(3)
    /// A page of metrics with thousands of families.
    private static let longestPage = 16 << 20

    /// To a request without TLS, daemons that want it say status 400, or nothing that makes sense.
    static let guessOfTLS = " (does it want https?)"

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    deinit { try? group.syncShutdownGracefully() }

    /// - Parameter security: for an address that wants TLS.
    func get(_ address: EndpointAddress, _ path: String, _ security: TLSClientSettings) -> Result<PageFetcher.Page, Problem> {
        let transport = MemberTransport(security)
        let eventLoop = group.next()
        do {
            return .success(
                try eventLoop.flatSubmit {
                    PageFetcher(eventLoop: eventLoop, security: transport, longestPage: Self.longestPage)
                        .get(address, path, Self.patience)
                }.wait())
        } catch {
            return .failure(Problem(reason: Self.text(error, address)))
        }
    }

    private static func text(_ error: any Error, _ address: EndpointAddress) -> String {
        switch error {
        case PageFetcher.Problem.timedOut: "no answer within \(patience)"
        case PageFetcher.Problem.garbled(let reason) where !address.isSecure: reason + guessOfTLS
        case PageFetcher.Problem.garbled(let reason), PageFetcher.Problem.security(let reason): reason
        case let error as IOError: String(cString: strerror(error.errnoCode)).lowercased()
        case let error as NIOConnectionError:
            error.connectionErrors.first.map { text($0.error, address) } ?? "unknown host \(error.host)"
        default: "\(error)"
        }
    }
}
