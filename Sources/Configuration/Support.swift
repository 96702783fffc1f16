/// What the member cannot do yet, in one place: when a capability lands, its line becomes `.supported` and every flag,
/// environment variable and file key that depends on it is accepted.
enum Support {
    /// Finding the other members through a discovery service.
    static let discovery = SettingEffect.notSupportedYet("bootstrapping through a discovery service is not supported yet")
    /// Settings that only matter with a discovery service.
    static let discoveryDetail = SettingEffect.acceptedWithoutEffect("it only matters with a discovery service")
    /// Sending traces of requests to a collector.
    static let tracing = SettingEffect.notSupportedYet("distributed tracing is not supported yet")
    /// Settings that only matter with tracing.
    static let tracingDetail = SettingEffect.acceptedWithoutEffect("it only matters with distributed tracing")
    /// `--auth-token=jwt,...`.
    static let jwt = SettingEffect.notSupportedYet("JWT tokens are not supported yet")
    /// Compressing rotated log files, and naming them by local time.
    static let logRotationDetail = SettingEffect.notSupportedYet("this way of log rotation is not supported yet")
    /// `--memory-mlock`.
    static let memoryLock = SettingEffect.notSupportedYet("locking memory is not supported yet")
    /// Feature gates LeaseCheckpoint and LeaseCheckpointPersist.
    static let leaseCheckpoints = SettingEffect.notSupportedYet("lease checkpoints are not supported yet")
}
