import Bytes
import HTTP2

/// The metadata a client sent with a call. Keys are in lower case. Available until the call closes.
extension GRPCStream {
    /// The first value of `key`, lent while the call is open.
    public func metadataBytes(_ key: StaticString) -> UnsafeRawBufferPointer? { transport?.header(key) }

    /// The first value of `key` as text.
    public func metadata(_ key: StaticString) -> String? { transport?.head.firstString(key) }

    /// The first value of `key`, which ends in "-bin", decoded; nil if there is none, or it is not base64.
    public func binaryMetadata(_ key: StaticString) -> [UInt8]? { metadataBytes(key).flatMap { Base64.decode($0) } }

    /// All fields the client sent, in order, those of HTTP/2 and gRPC itself included. The bytes are lent for the call.
    public func forEachMetadata(_ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
        transport?.head.forEach(body)
    }

    /// A field for a header or trailer whose key ends in "-bin".
    public static func binaryField(_ key: String, _ value: [UInt8]) -> HTTPField { HTTPField(key, Base64.encode(value)) }
}
