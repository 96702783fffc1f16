/// Why a service ends, for `systemctl status`.
public struct ServiceFailure: Equatable, Sendable {
    public var reason: String
    public var exitCode: Int32
    /// The `errno` value that comes nearest; systemd shows its text.
    public var errno: Int32

    public init(_ reason: String, exitCode: Int32, errno: Int32) {
        self.reason = reason
        self.exitCode = exitCode
        self.errno = errno
    }

    public var message: NotifyMessage { NotifyMessage(.stopping, .status(reason), .errno(errno), .exitStatus(exitCode)) }
}
