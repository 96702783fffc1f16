import EtcdAPI
import GRPC
import Glibc
import HTTP2
import NIOCore
import NIOPosix

/// A load over the network, for measuring a member and what is in front of it:
///
///     quorate-bench range-load HOST PORT CONNECTIONS CLIENTS SECONDS
///     quorate-bench put-load HOST PORT CONNECTIONS CLIENTS SECONDS [RATE]
///
/// Each client sends its next request when it has the answer to the one before. With a rate, so many requests a second fall due for all
/// clients together, and latency counts from then, so that whoever falls behind is seen to. Prints one JSON object.
func runNetworkLoad(_ kind: NetworkLoad.Kind, _ arguments: [String]) -> Int32 {
    guard arguments.count == 5 || arguments.count == 6, let port = Int(arguments[1]), let connections = Int(arguments[2]),
        let clients = Int(arguments[3]), let seconds = Double(arguments[4]), connections > 0, clients > 0,
        let rate = arguments.count == 6 ? Double(arguments[5]) : 0
    else {
        print("usage: quorate-bench \(kind.rawValue)-load HOST PORT CONNECTIONS CLIENTS SECONDS [RATE]")
        return 2
    }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    defer { try? group.syncShutdownGracefully() }
    let target = GRPCTarget(
        address: .tcp(host: arguments[0], port: port), isSecure: false, authority: "\(arguments[0]):\(port)")
    let eventLoop = group.next()
    let done = eventLoop.makePromise(of: String.self)
    eventLoop.execute {
        let load = NetworkLoad(
            kind, eventLoop, target, connections: connections, clients: clients, seconds: seconds, rate: rate)
        load.run { done.succeed($0) }
    }
    print((try? done.futureResult.wait()) ?? "")
    return 0
}

/// Confined to its event loop.
final class NetworkLoad {
    enum Kind: String { case range, put }

    /// Keys that puts go through in turn, and the size of their values.
    private static let keyCount = 100_000
    private static let valueSize = 256

    private let kind: Kind
    private let eventLoop: any EventLoop
    private let target: GRPCTarget
    private let senders: [GRPCUnaryClient]
    private let clients: Int
    private let start = NIODeadline.now()
    private let end: NIODeadline
    private let seconds: Double
    /// Nanoseconds between two requests; 0 without a rate.
    private let interval: Int64
    private var sent: Int64 = 0
    private var latencies: [Int64] = []
    private var errors = 0
    private var active = 0
    private var finished: ((String) -> Void)?

    fileprivate init(
        _ kind: Kind, _ eventLoop: any EventLoop, _ target: GRPCTarget, connections: Int, clients: Int, seconds: Double,
        rate: Double
    ) {
        self.kind = kind
        self.eventLoop = eventLoop
        self.target = target
        self.clients = clients
        self.seconds = seconds
        interval = rate > 0 ? Int64(1e9 / rate) : 0
        let output = LoopOutput(eventLoop: eventLoop)
        senders = (0..<connections).map { _ in GRPCUnaryClient(output: output) }
        end = start + .nanoseconds(Int64(seconds * 1e9))
        latencies.reserveCapacity(1 << 20)
    }

    fileprivate func run(_ finished: @escaping (String) -> Void) {
        self.finished = finished
        active = clients
        for client in 0..<clients { next(senders[client % senders.count]) }
    }

    private func request() -> [UInt8] {
        switch kind {
        case .range: return RangeRequest(key: Array("foo".utf8)).encoded()
        case .put:
            let number = Int(sent) % NetworkLoad.keyCount
            return PutRequest(
                key: Array("key\(number)".utf8), value: [UInt8](repeating: UInt8(ascii: "v"), count: NetworkLoad.valueSize)
            ).encoded()
        }
    }

    private func next(_ sender: GRPCUnaryClient) {
        let now = NIODeadline.now()
        let due = interval > 0 ? start + .nanoseconds(sent * interval) : now
        guard max(now, due) < end else { return leave() }
        let request = request()
        sent += 1
        if due <= now { return send(request, sender, due: due) }
        eventLoop.assumeIsolated().scheduleTask(deadline: due) { self.send(request, sender, due: due) }
    }

    private func send(_ request: [UInt8], _ sender: GRPCUnaryClient, due: NIODeadline) {
        let procedure = kind == .range ? "/etcdserverpb.KV/Range" : "/etcdserverpb.KV/Put"
        sender.call(target, procedure, request, timeout: .seconds(30)).assumeIsolated().whenSuccess { reply in
            if case .message = reply {
                self.latencies.append((NIODeadline.now() - due).nanoseconds)
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
