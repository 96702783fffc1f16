import Balancing
import Configuration
import Host
import NIOCore
import NIOPosix
import ProxyTransport
import TLS
import Telemetry

extension BalancingSettings {
    init(_ configuration: ProxyConfiguration) {
        self.init()
        policy = configuration.policy
        prefersLeaderForWrites = configuration.prefersLeaderForWrites
        preferred = configuration.preferredEndpoints.compactMap { AddressPattern($0) }
        probeInterval = Instant.Span(configuration.probeInterval)
        probeTimeout = Instant.Span(configuration.probeTimeout)
        rise = Int(clamping: configuration.probeRise)
        fall = Int(clamping: configuration.probeFall)
        longestProbeInterval = max(probeInterval, .seconds(5))
        ejectionFailures = Int(clamping: configuration.ejectionFailures)
        firstEjection = Instant.Span(configuration.ejectionTime)
        longestEjection = Instant.Span(configuration.maximumEjectionTime)
        refreshInterval = Instant.Span(configuration.refreshInterval)
        clusterID = configuration.clusterID
    }
}

extension ProxyDaemon {
    func memberTransport() throws(TLSError) -> MemberTransport {
        let security = configuration.memberSecurity
        let transport = Self.transport(security, configuration, log)
        if security.isUsed || configuration.endpoints.contains(where: { $0.isSecure }) { try transport.prepare() }
        return transport
    }

    static func transport(_ security: MemberSecurity, _ configuration: ProxyConfiguration, _ log: Log) -> MemberTransport {
        var settings = TLSClientSettings()
        settings.certificateFile = security.certificateFile
        settings.keyFile = security.keyFile
        settings.trustedAuthorityFile = security.trustedAuthorityFile
        settings.skipsVerification = security.skipsVerification
        settings.serverName = security.serverName
        settings.handshakeTimeout = configuration.connectTimeout
        settings.log = { log.note($0) }
        return MemberTransport(settings)
    }
}

/// The addresses at which the proxy itself listens: forwarding there would go round in circles.
struct OwnAddresses {
    private let listening: [EndpointURL]
    private let eventLoop: any EventLoop

    init(_ listening: [EndpointURL], _ eventLoop: any EventLoop) {
        self.listening = listening
        self.eventLoop = eventLoop
    }

    /// Names are looked up on a thread of the pool: that may take seconds.
    func contains(_ address: EndpointAddress) -> EventLoopFuture<Bool> {
        if address.isUnixSocket {
            return eventLoop.makeSucceededFuture(listening.contains { $0.isUnixSocket && $0.socketPath == address.socketPath })
        }
        let samePort = listening.filter { !$0.isUnixSocket && $0.port == address.port }
        guard !samePort.isEmpty else { return eventLoop.makeSucceededFuture(false) }
        return NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            samePort.contains { Self.reaches($0, address) }
        }
    }

    private static func reaches(_ url: EndpointURL, _ address: EndpointAddress) -> Bool {
        guard let dialled = try? SocketAddress.makeAddressResolvingHost(address.host, port: Int(address.port)).ipAddress else {
            return false
        }
        if url.host.isEmpty || url.host == "0.0.0.0" || url.host == "::" {
            let own = (try? System.enumerateDevices().compactMap { $0.address?.ipAddress }) ?? []
            return own.contains(dialled) || dialled.hasPrefix("127.") || dialled == "::1"
        }
        return (try? SocketAddress.makeAddressResolvingHost(url.host, port: Int(url.port)).ipAddress) == dialled
    }
}
