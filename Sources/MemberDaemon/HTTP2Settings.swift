import Configuration
import HTTP2

extension HTTP2Limits {
    /// What etcd's flags say about connections and streams.
    mutating func apply(_ configuration: MemberConfiguration) {
        if configuration.maxConcurrentStreams < UInt64(maximumConcurrentStreams) {
            maximumConcurrentStreams = UInt32(configuration.maxConcurrentStreams)
        }
        keepalive.minimumPingInterval = configuration.keepAliveMinimumTime
        keepalive.pingAfterIdle = configuration.keepAliveInterval
        keepalive.pingTimeout = configuration.keepAliveTimeout
    }
}
