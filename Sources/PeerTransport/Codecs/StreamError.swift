import Bytes

/// Why what a peer sent is no stream of messages. The stream ends then.
public enum StreamError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A message longer than the limit (etcd: 512 MiB).
    case tooLong(UInt64)
    /// The first byte of a frame on an append stream.
    case unknownFrame(UInt8)
    case malformed(DecodeError)

    public var description: String {
        switch self {
        case .tooLong(let length): "a message of \(length) bytes is over the limit"
        case .unknownFrame(let type): "failed to parse type \(type) in msgappv2 stream"
        case .malformed(let error): "malformed message: \(error)"
        }
    }
}
