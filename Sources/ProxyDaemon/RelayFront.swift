import Balancing
import Configuration
import HTTP2
import NIOCore
import Polling
import ProxyTransport
import Synchronization
import Systemd
import Telemetry

/// Serves clients by forwarding bytes: `--mode tcp`.
final class RelayFront: ProxyFront {
    private let relay: Relay
    private let listeners = Mutex<[RelayListener]>([])

    init(
        _ daemon: ProxyDaemon, _ group: PollingEventLoopGroup, _ balancers: [NIOLoopBound<LoopBalancer>],
        _ gate: ConnectionGate
    ) throws {
        var settings = RelaySettings()
        settings.connectTimeout = daemon.configuration.connectTimeout
        settings.isSticky = daemon.configuration.policy == .sticky
        if daemon.configuration.accessLog { settings.connectionEnded = { [log = daemon.log] in log.note($0) } }
        relay = try Relay.make(
            group: group, balancers: balancers, gate: gate, settings: settings
        ).wait()
        daemon.metrics.readConnections(
            open: { Double(gate.openConnections) }, accepted: { [relay] in Double(relay.accepted) },
            refused: { [relay] in Double(relay.refused) })
    }

    func listen(on listeners: [(url: EndpointURL, address: ListenAddress)]) throws {
        for listener in listeners {
            let made = try relay.listen(on: listener.address)
            self.listeners.withLock { $0.append(made) }
        }
    }

    /// TLS passes through.
    func reload() -> String? { nil }

    func stop(within limit: Duration) {
        for listener in listeners.withLock({ $0 }) { try? listener.close().wait() }
        try? relay.drain(within: limit).wait()
    }
}

extension Log {
    fileprivate func note(_ record: RelayRecord) {
        info(
            "connection",
            [
                "remote-addr": .string(record.client), "endpoint": .string(record.endpoint?.description ?? ""),
                "sent-bytes": .uint(record.sentBytes), "received-bytes": .uint(record.receivedBytes),
                "took": .duration(record.duration),
                "attempts": .int(record.attempts), "end": .string(record.end.name),
            ])
    }
}
