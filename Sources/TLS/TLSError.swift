/// Why a context could not be made, or a connection ended.
public enum TLSError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A file could not be read or does not hold what it should.
    case file(path: String, reason: String)
    /// Settings that contradict each other, or that the library does not know.
    case settings(String)
    /// The handshake failed; the words are those of Go's `crypto/tls`, which operators know from etcd's log.
    case handshake(String)
    /// The other side connected and left before the handshake was done.
    case closedInHandshake
    case handshakeTimedOut
    case tooManyHandshakes
    /// Records after the handshake that break the protocol.
    case broken(String)
    /// The connection ended without close_notify: what was received may not be all that was sent.
    case truncated
    /// More was written before the handshake was done than is kept.
    case tooMuchBeforeHandshake

    public var description: String {
        switch self {
        case .file(let path, let reason): "\(path): \(reason)"
        case .settings(let reason), .handshake(let reason), .broken(let reason): reason
        case .closedInHandshake: "EOF"
        case .handshakeTimedOut: "tls: handshake did not finish in time"
        case .tooManyHandshakes: "tls: too many handshakes at once"
        case .truncated: "unexpected EOF"
        case .tooMuchBeforeHandshake: "tls: too much was written before the handshake was done"
        }
    }
}
