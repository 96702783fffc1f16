import HTTP2
import Telemetry

extension Log {
    /// What a server says of one of its connections.
    public func note(_ record: ServerLogRecord) {
        switch record.level {
        case .debug: debug(record.message, ["remote-addr": .string(record.peer)])
        case .info: info(record.message, ["remote-addr": .string(record.peer)])
        case .warning: warn(record.message, ["remote-addr": .string(record.peer)])
        }
    }
}
