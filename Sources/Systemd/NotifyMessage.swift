/// One datagram to systemd: assignments, in order, as sd_notify(3) lists them.
public struct NotifyMessage: Equatable, Sendable {
    public enum Assignment: Equatable, Sendable {
        case ready
        case reloading
        /// Microseconds of CLOCK_MONOTONIC, by which systemd tells this reload from an earlier one.
        case monotonic(microseconds: UInt64)
        case stopping
        case status(String)
        case watchdog
        /// From now until the next message of this kind, or the end of what is going on.
        case extendTimeout(microseconds: UInt64)
        /// An `errno` value.
        case errno(Int32)
        case exitStatus(Int32)
    }

    public var assignments: [Assignment]

    public init(_ assignments: Assignment...) { self.assignments = assignments }

    /// The datagram's text, one assignment a line.
    public var text: String { assignments.map(\.text).joined(separator: "\n") }
}

extension NotifyMessage.Assignment {
    /// `systemctl status` shows one line; nobody reads more of it.
    static let longestStatus = 400

    var text: String {
        switch self {
        case .ready: "READY=1"
        case .reloading: "RELOADING=1"
        case .monotonic(let microseconds): "MONOTONIC_USEC=\(microseconds)"
        case .stopping: "STOPPING=1"
        case .status(let text): "STATUS=" + String(text.prefix(Self.longestStatus).map { $0.isNewline ? " " : $0 })
        case .watchdog: "WATCHDOG=1"
        case .extendTimeout(let microseconds): "EXTEND_TIMEOUT_USEC=\(microseconds)"
        case .errno(let code): "ERRNO=\(code)"
        case .exitStatus(let code): "EXIT_STATUS=\(code)"
        }
    }
}
