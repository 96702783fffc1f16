import EtcdAPI
import GRPC
import Glibc
import HTTP2
import NIOCore
import NIOPosix

/// A load of ranges over the network, for measuring what is between this process and a member:
///
///     quorate-bench range-load HOST PORT CONNECTIONS CLIENTS SECONDS
///
/// Each client sends its next request when it has the answer to the one before. Prints one JSON object.
func runRangeLoad(_ arguments: [String]) -> Int32 {
    guard arguments.count == 5, let port = Int(arguments[1]), let connections = Int(arguments[2]),
        let clients = Int(arguments[3]),
        let seconds = Double(arguments[4]), connections > 0, clients > 0
    else {
        print("usage: quorate-bench range-load HOST PORT CONNECTIONS CLIENTS SECONDS")
        return 2
    }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    defer { try? group.syncShutdownGracefully() }
    let target = GRPCTarget(
        address: .tcp(host: arguments[0], port: port), isSecure: false, authority: "\(arguments[0]):\(port)")
    let eventLoop = group.next()
    let done = eventLoop.makePromise(of: String.self)
    eventLoop.execute {
        let load = RangeLoad(eventLoop, target, connections: connections, clients: clients, seconds: seconds)
        load.run { done.succeed($0) }
    }
    print((try? done.futureResult.wait()) ?? "")
    return 0
}

/// Confined to its event loop.
private final class RangeLoad {
    private let eventLoop: any EventLoop
    private let target: GRPCTarget
    private let senders: [GRPCUnaryClient]
    private let clients: Int
    private let end: NIODeadline
    private let seconds: Double
    private let request = RangeRequest(key: Array("foo".utf8)).encoded()
    private var latencies: [Int64] = []
    private var errors = 0
    private var active = 0
    private var finished: ((String) -> Void)?

    init(_ eventLoop: any EventLoop, _ target: GRPCTarget, connections: Int, clients: Int, seconds: Double) {
        self.eventLoop = eventLoop
        self.target = target
        self.clients = clients
        self.seconds = seconds
        let output = LoopOutput(eventLoop: eventLoop)
        senders = (0..<connections).map { _ in GRPCUnaryClient(output: output) }
        end = .now() + .nanoseconds(Int64(seconds * 1e9))
        latencies.reserveCapacity(1 << 20)
    }

    func run(_ finished: @escaping (String) -> Void) {
        self.finished = finished
        active = clients
        for client in 0..<clients { next(senders[client % senders.count]) }
    }

    private func next(_ sender: GRPCUnaryClient) {
        let began = NIODeadline.now()
        guard began < end else { return leave() }
        sender.call(target, "/etcdserverpb.KV/Range", request, timeout: .seconds(30)).assumeIsolated().whenSuccess { reply in
            if case .message = reply {
                self.latencies.append((NIODeadline.now() - began).nanoseconds)
            } else {
                self.errors += 1
            }
            self.next(sender)
        }
    }

    private func leave() {
        active -= 1
        guard active == 0 else { return }
        latencies.sort()
        func milliseconds(_ share: Double) -> Double {
            latencies.isEmpty ? 0 : Double(latencies[min(latencies.count - 1, Int(Double(latencies.count) * share))]) / 1e6
        }
        finished?(
            "{\"requests\": \(latencies.count), \"errors\": \(errors), \"per_second\": \(Double(latencies.count) / seconds), "
                + "\"p50_ms\": \(milliseconds(0.5)), \"p99_ms\": \(milliseconds(0.99))}")
        finished = nil
    }
}
