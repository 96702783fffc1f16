import CSystemd
import Glibc
import Telemetry

/// Sends the log to systemd's journal, fields and all.
public struct JournalDestination: LogDestination {
    private let identifier: [UInt8]

    /// - Parameter identifier: what `journalctl -t` selects by.
    /// - Returns: nil where no journal listens: libsystemd would drop every line without a word.
    public init?(identifier: String) {
        guard access("/run/systemd/journal/socket", W_OK) == 0 else { return nil }
        self.identifier = Array("SYSLOG_IDENTIFIER=\(identifier)".utf8)
    }

    public func write(_ record: [UInt8], level: LogLevel) -> Bool {
        identifier.withUnsafeBytes { identifier in
            record.withUnsafeBytes { record in
                // The vectors point into the record and the identifier, which both live until the call returns.
                let fields = ([identifier] + JournalRecord.fields(of: record)).map(Self.vector)
                return sd_journal_sendv(fields, Int32(fields.count)) == 0
            }
        }
    }

    /// The call only reads; its C type does not say so.
    private static func vector(_ bytes: UnsafeRawBufferPointer) -> iovec {
        iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    }
}
