import Bytes
import HTTP2
import Raft

/// A stream that the peer reads: the answer to its GET, which never ends by itself.
final class OutgoingStream {
    let kind: StreamKind
    let number: UInt64
    private let exchange: HTTPExchange
    private var encoder: StreamEncoder

    init(
        _ kind: StreamKind, _ number: UInt64, _ exchange: HTTPExchange, onLost: @escaping (String) -> Void,
        onWritable: @escaping () -> Void
    ) {
        self.kind = kind
        self.number = number
        self.exchange = exchange
        encoder = StreamEncoder(kind)
        exchange.onCancel = { onLost("the connection was closed by the peer") }
        exchange.onWritable = onWritable
    }

    func encode(_ message: Message, to writer: inout ByteWriter) { encoder.encode(message, to: &writer) }
    func encodeLinkHeartbeat(to writer: inout ByteWriter) { encoder.encodeLinkHeartbeat(to: &writer) }

    /// Whether the peer's connection takes more after this.
    func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        exchange.write(bytes)
        return exchange.isWritable
    }

    func close() {
        exchange.onCancel = nil
        exchange.onWritable = nil
        exchange.abort()
    }
}
