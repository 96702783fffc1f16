import GRPC
import Telemetry

/// Counts the calls of one event loop.
final class CallObserver: GRPCCallObserver {
    let measuresTime: Bool
    private let shard: GRPCServerShard

    init(_ shard: GRPCServerShard) {
        self.shard = shard
        measuresTime = shard.keepsTimes
    }

    func received(_ method: Int, bytes: Int) { shard.received(method, bytes: bytes) }
    func sent(_ method: Int, bytes: Int) { shard.sent(method, bytes: bytes) }

    func ended(_ method: Int, _ code: GRPCCode, nanoseconds: UInt64) {
        shard.handled(method, code: code.rawValue)
        if measuresTime { shard.took(method, seconds: Double(nanoseconds) * 1e-9) }
    }
}
