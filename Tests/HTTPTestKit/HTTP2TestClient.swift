import CNGHTTP2

/// What came back on one stream.
public struct TestResponse {
    public init() {}

    public var headers: [(name: String, value: String)] = []
    public var trailers: [(name: String, value: String)] = []
    public var body: [UInt8] = []
    /// DATA frames the body came in.
    public var dataFrames = 0
    public var ended = false
    /// The error code the stream closed with; nil while it is open.
    public var closeCode: UInt32?

    public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
    /// The field from the trailers, or from the headers of an answer without a body.
    public func trailer(_ name: String) -> String? {
        (trailers.first { $0.name == name } ?? headers.first { $0.name == name })?.value
    }
    public var status: String? { header(":status") }
    public var grpcStatus: Int? { trailer("grpc-status").flatMap { Int($0) } }
    public var grpcMessage: String? { trailer("grpc-message") }

    /// The gRPC messages in the body; nil if it is not a whole number of them.
    public var messages: [[UInt8]]? {
        var messages: [[UInt8]] = []
        var at = 0
        while at < body.count {
            guard at + 5 <= body.count, body[at] == 0 else { return nil }
            let length = body[(at + 1)..<(at + 5)].reduce(0) { $0 << 8 | Int($1) }
            guard at + 5 + length <= body.count else { return nil }
            messages.append(Array(body[(at + 5)..<(at + 5 + length)]))
            at += 5 + length
        }
        return messages
    }
}

/// One gRPC message in its frame.
public func framed(_ message: [UInt8], flag: UInt8 = 0) -> [UInt8] {
    [flag] + withUnsafeBytes(of: UInt32(message.count).bigEndian) { Array($0) } + message
}

/// The client side of an HTTP/2 connection over libnghttp2: bytes in, bytes out, nothing hidden. For tests.
public final class HTTP2TestClient {
    private final class Upload {
        var bytes: [UInt8]
        var ended: Bool
        var waits = false
        init(_ bytes: [UInt8], ended: Bool) {
            self.bytes = bytes
            self.ended = ended
        }
    }

    public struct GoAway: Equatable {
        public var code: UInt32
        public var lastStream: Int32
        public var debugText: String
    }

    public private(set) var responses: [Int32: TestResponse] = [:]
    public private(set) var goAways: [GoAway] = []
    public private(set) var pingsReceived = 0
    public private(set) var pingsAnswered = 0
    public private(set) var serverSettings: [Int32: UInt32] = [:]
    private var uploads: [Int32: Upload] = [:]
    private var session: OpaquePointer!

    /// - Parameters:
    ///   - window: The window this client gives each of its streams.
    ///   - readsFreely: Received bytes go back to the server's windows at once; otherwise with ``consume(_:on:)``.
    public init(window: UInt32 = 65_535, readsFreely: Bool = true) {
        var callbacks: OpaquePointer?
        nghttp2_session_callbacks_new(&callbacks)
        Self.setReceiving(callbacks)
        var option: OpaquePointer?
        nghttp2_option_new(&option)
        nghttp2_option_set_peer_max_concurrent_streams(option, 1_000_000)
        if !readsFreely { nghttp2_option_set_no_auto_window_update(option, 1) }
        nghttp2_session_client_new2(&session, callbacks, Unmanaged.passUnretained(self).toOpaque(), option)
        nghttp2_option_del(option)
        nghttp2_session_callbacks_del(callbacks)
        submitSettings([(Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), window)])
    }

    deinit { nghttp2_session_del(session) }

    private static func setReceiving(_ callbacks: OpaquePointer?) {
        nghttp2_session_callbacks_set_on_header_callback(callbacks) { _, frame, name, nameCount, value, valueCount, _, user in
            let field = (
                String(decoding: UnsafeBufferPointer(start: name, count: nameCount), as: UTF8.self),
                String(decoding: UnsafeBufferPointer(start: value, count: valueCount), as: UTF8.self)
            )
            let client = Unmanaged<HTTP2TestClient>.fromOpaque(user!).takeUnretainedValue()
            let isTrailer = frame!.pointee.headers.cat == NGHTTP2_HCAT_HEADERS
            if isTrailer {
                client.responses[frame!.pointee.hd.stream_id, default: .init()].trailers.append(field)
            } else {
                client.responses[frame!.pointee.hd.stream_id, default: .init()].headers.append(field)
            }
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, bytes, count, user in
            let client = Unmanaged<HTTP2TestClient>.fromOpaque(user!).takeUnretainedValue()
            client.responses[id, default: .init()].body.append(contentsOf: UnsafeBufferPointer(start: bytes, count: count))
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            Unmanaged<HTTP2TestClient>.fromOpaque(user!).takeUnretainedValue().received(frame!)
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, user in
            let client = Unmanaged<HTTP2TestClient>.fromOpaque(user!).takeUnretainedValue()
            client.responses[id, default: .init()].closeCode = code
            client.uploads[id] = nil
            return 0
        }
    }

    private func received(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = frame.pointee.hd
        switch UInt32(header.type) {
        case NGHTTP2_GOAWAY.rawValue:
            let goAway = frame.pointee.goaway
            let text = UnsafeBufferPointer(start: goAway.opaque_data, count: goAway.opaque_data_len)
            goAways.append(
                GoAway(
                    code: goAway.error_code, lastStream: goAway.last_stream_id, debugText: String(decoding: text, as: UTF8.self)))
        case NGHTTP2_PING.rawValue:
            if header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0 { pingsAnswered += 1 } else { pingsReceived += 1 }
        case NGHTTP2_SETTINGS.rawValue:
            for index in 0..<frame.pointee.settings.niv {
                let entry = frame.pointee.settings.iv[index]
                serverSettings[entry.settings_id] = entry.value
            }
        case NGHTTP2_DATA.rawValue:
            responses[header.stream_id, default: .init()].dataFrames += 1
            fallthrough
        case NGHTTP2_HEADERS.rawValue:
            if header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 {
                responses[header.stream_id, default: .init()].ended = true
            }
        default: break
        }
    }

    // MARK: Bytes

    /// All bytes that are ready to be sent.
    public func output() -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            var frame: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(session, &frame)
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: UnsafeBufferPointer(start: frame, count: count))
        }
    }

    /// False if the server broke the protocol.
    @discardableResult
    public func receive(_ bytes: [UInt8]) -> Bool { nghttp2_session_mem_recv(session, bytes, bytes.count) == bytes.count }

    // MARK: Frames

    /// Opens a stream. Without `body` the request ends with its header fields.
    public func request(
        _ method: String, _ path: String, _ fields: [(String, String)] = [], body: [UInt8]? = nil, ends: Bool = true
    ) -> Int32 {
        let all = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)] + fields
        return withFields(all) { fields, count in
            guard let body else { return nghttp2_submit_request(session, nil, fields, count, nil, nil) }
            var provider = nghttp2_data_provider()
            provider.read_callback = { session, id, target, limit, flags, _, user in
                Unmanaged<HTTP2TestClient>.fromOpaque(user!).takeUnretainedValue().nextBytes(id, target!, limit, flags!)
            }
            let id = nghttp2_submit_request(session, nil, fields, count, &provider, nil)
            uploads[id] = Upload(body, ended: ends)
            return id
        }
    }

    /// A gRPC request with its messages.
    public func call(
        _ path: String, _ messages: [[UInt8]], _ fields: [(String, String)] = [], ends: Bool = true
    ) -> Int32 {
        request(
            "POST", path, [("content-type", "application/grpc"), ("te", "trailers")] + fields,
            body: messages.flatMap { framed($0) },
            ends: ends)
    }

    private func nextBytes(
        _ id: Int32, _ target: UnsafeMutablePointer<UInt8>, _ limit: Int, _ flags: UnsafeMutablePointer<UInt32>
    ) -> Int {
        guard let upload = uploads[id] else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
        let count = min(limit, upload.bytes.count)
        for index in 0..<count { target[index] = upload.bytes[index] }
        upload.bytes.removeFirst(count)
        if upload.bytes.isEmpty, upload.ended {
            flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
        } else if count == 0 {
            upload.waits = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        return count
    }

    /// More of a request's body.
    public func send(_ bytes: [UInt8], on id: Int32, ends: Bool = false) {
        guard let upload = uploads[id] else { return }
        upload.bytes += bytes
        upload.ended = ends
        if upload.waits {
            upload.waits = false
            nghttp2_session_resume_data(session, id)
        }
    }

    /// Bytes of a request's body that its window has not let through.
    public func unsent(on id: Int32) -> Int { uploads[id]?.bytes.count ?? 0 }

    public func reset(_ id: Int32, _ code: UInt32 = 8) { nghttp2_submit_rst_stream(session, 0, id, code) }
    public func ping() { nghttp2_submit_ping(session, 0, nil) }

    public func submitSettings(_ settings: [(Int32, UInt32)]) {
        let entries = settings.map { nghttp2_settings_entry(settings_id: $0.0, value: $0.1) }
        nghttp2_submit_settings(session, 0, entries, entries.count)
    }

    /// Gives bytes back to the server's windows, for a client that does not read freely.
    public func consume(_ count: Int, on id: Int32) { nghttp2_session_consume(session, id, count) }

    private func withFields<R>(_ fields: [(String, String)], _ body: (UnsafePointer<nghttp2_nv>, Int) -> R) -> R {
        var storage = fields.map { (Array($0.0.utf8), Array($0.1.utf8)) }
        return storage.withUnsafeMutableBufferPointer { storage in
            let entries = storage.indices.map { index in
                storage[index].0.withUnsafeMutableBufferPointer { name in
                    storage[index].1.withUnsafeMutableBufferPointer { value in
                        // The arrays live in `storage` for the whole call, and are not touched.
                        nghttp2_nv(
                            name: name.baseAddress, value: value.baseAddress, namelen: name.count, valuelen: value.count, flags: 0
                        )
                    }
                }
            }
            return body(entries, entries.count)
        }
    }
}
