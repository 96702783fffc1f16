import CNGHTTP2

// What libnghttp2 calls while a client session reads and after it wrote. As in the server, callbacks return 0 (go on).
extension HTTP2ClientSession {
    func makeLibrarySession() -> OpaquePointer {
        var options: OpaquePointer?
        nghttp2_option_new(&options)
        nghttp2_option_set_no_auto_window_update(options, 1)
        nghttp2_option_set_no_closed_streams(options, 1)
        var library: OpaquePointer?
        let made = nghttp2_session_client_new3(
            &library, ClientLibraryCallbacks.shared.pointer, Unmanaged.passUnretained(self).toOpaque(), options,
            pool.libraryMemory.functions)
        nghttp2_option_del(options)
        precondition(made == 0, "libnghttp2 could not make a session: out of memory")
        let settings = [
            nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(configuration.streamWindow)),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
                value: UInt32(clamping: configuration.maximumHeaderListBytes)),
        ]
        nghttp2_submit_settings(library, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count)
        nghttp2_session_set_local_window_size(library, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, configuration.connectionWindow)
        return library!
    }

    // MARK: Reading

    fileprivate func headersBegan(_ frame: UnsafePointer<nghttp2_frame>) {
        openHead = nil
        guard let pointer = streamInUse.find(frame.pointee.hd.stream_id, library) else { return }
        openHead = Unmanaged<HTTP2ClientStream>.fromOpaque(pointer)
    }

    fileprivate func headerReceived(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        openHead?._withUnsafeGuaranteedRef { $0.headerReceived(name, value, limit: configuration.maximumHeaderListBytes) }
    }

    fileprivate func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = frame.pointee.hd
        let ends = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        switch UInt32(header.type) {
        case NGHTTP2_DATA.rawValue:
            if ends { responseEnded(header.stream_id) }
        case NGHTTP2_HEADERS.rawValue:
            guard let began = openHead else { break }
            openHead = nil
            began._withUnsafeGuaranteedRef { headComplete($0, ends: ends) }
        case NGHTTP2_SETTINGS.rawValue:
            if header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 { sawSettings = true }
        case NGHTTP2_GOAWAY.rawValue:
            sawGoAway = true
            drain()
        default: break
        }
    }

    private func headComplete(_ stream: HTTP2ClientStream, ends: Bool) {
        if stream.headTooLarge { return reset(stream, HTTP2ErrorCode.enhanceYourCalm) }
        guard !stream.resetHere else { return }
        if !stream.responseBegan {
            if let status = stream.response.first(":status"), status.count == 3, status[0] == UInt8(ascii: "1") {
                stream.response.removeAll()
                return
            }
            stream.responseBegan = true
            stream.receiver?.responseBegan(stream)
        }
        if ends { finishResponse(stream) }
    }

    private func responseEnded(_ id: Int32) {
        guard let pointer = streamInUse.find(id, library) else { return }
        withClientStream(pointer) { finishResponse($0) }
    }

    private func finishResponse(_ stream: HTTP2ClientStream) {
        guard !stream.resetHere, stream.isOpen else { return }
        stream.responseIsComplete = true
        stream.receiver?.responseEnded(stream)
        // Nobody needs the rest of a request that is answered already.
        if stream.isOpen, !stream.requestSent { reset(stream, HTTP2ErrorCode.cancel) }
    }

    fileprivate func bodyReceived(_ id: Int32, _ bytes: UnsafeRawBufferPointer) {
        uncreditedOnConnection += bytes.count
        guard let pointer = streamInUse.find(id, library) else { return }
        withClientStream(pointer) { stream in
            if !stream.resetHere { stream.receiver?.responseBody(bytes, on: stream) }
        }
    }

    // MARK: After writing

    fileprivate func frameSent(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = frame.pointee.hd
        switch UInt32(header.type) {
        case NGHTTP2_DATA.rawValue, NGHTTP2_HEADERS.rawValue:
            guard let pointer = streamInUse.find(header.stream_id, library) else { return }
            withClientStream(pointer) { stream in
                stream.progress = .sent
                if header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 { stream.requestSent = true }
            }
        default: break
        }
    }

    fileprivate func streamClosed(_ id: Int32, _ code: UInt32) {
        guard let pointer = streamInUse.find(id, library) else { return }
        let (index, end) = withClientStream(pointer) { ($0.indexInSession, Self.end(of: $0, code)) }
        closeStream(at: index, end)
    }

    /// libnghttp2 closes streams above a GOAWAY's last one, and those it could not send any more, as if they had been refused.
    private static func end(of stream: HTTP2ClientStream, _ code: UInt32) -> ClientStreamEnd {
        if stream.responseIsComplete { return .finished }
        if stream.resetHere { return .reset(code: stream.resetCode) }
        if code == HTTP2ErrorCode.refusedStream || stream.progress != .sent { return .neverProcessed }
        return .reset(code: code)
    }
}

/// The callback table, made once: libnghttp2 copies it into every session.
private struct ClientLibraryCallbacks: @unchecked Sendable {
    // Sendable: written during initialization only, and only read by the library.
    let pointer: OpaquePointer

    static let shared = ClientLibraryCallbacks()

    private init() {
        var table: OpaquePointer?
        nghttp2_session_callbacks_new(&table)
        nghttp2_session_callbacks_set_on_begin_headers_callback(table) { _, frame, session in
            withClientSession(session) { $0.headersBegan(frame!) }
            return 0
        }
        nghttp2_session_callbacks_set_on_header_callback(table) { _, _, name, nameCount, value, valueCount, _, session in
            withClientSession(session) {
                $0.headerReceived(
                    UnsafeRawBufferPointer(start: name, count: nameCount), UnsafeRawBufferPointer(start: value, count: valueCount)
                )
            }
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(table) { _, frame, session in
            withClientSession(session) { $0.frameReceived(frame!) }
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table) { _, _, id, bytes, count, session in
            withClientSession(session) { $0.bodyReceived(id, UnsafeRawBufferPointer(start: bytes, count: count)) }
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_send_callback(table) { _, frame, session in
            withClientSession(session) { $0.frameSent(frame!) }
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(table) { _, id, code, session in
            withClientSession(session) { $0.streamClosed(id, code) }
            return 0
        }
        nghttp2_session_callbacks_set_send_data_callback(table, writeRequestDataFrame)
        pointer = table!
    }
}

/// The session behind libnghttp2's user data, without a retain: it outlives every call of the library that it makes.
@inline(__always)
func withClientSession<R>(_ pointer: UnsafeMutableRawPointer?, _ body: (HTTP2ClientSession) -> R) -> R {
    Unmanaged<HTTP2ClientSession>.fromOpaque(pointer!)._withUnsafeGuaranteedRef(body)
}

/// The stream behind a stream's user data, without a retain: `HTTP2ClientSession.streams` holds it until the library closes it.
@inline(__always)
func withClientStream<R>(_ pointer: UnsafeMutableRawPointer, _ body: (HTTP2ClientStream) -> R) -> R {
    Unmanaged<HTTP2ClientStream>.fromOpaque(pointer)._withUnsafeGuaranteedRef(body)
}
