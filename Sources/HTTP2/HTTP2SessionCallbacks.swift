import CNGHTTP2

// What libnghttp2 calls while it reads and after it wrote. Every callback returns 0 (go on): what is wrong with a stream or the
// connection is answered with frames, not with callback errors.
extension HTTP2Session {
    func makeLibrarySession() -> OpaquePointer {
        var options: OpaquePointer?
        nghttp2_option_new(&options)
        nghttp2_option_set_no_auto_window_update(options, 1)
        nghttp2_option_set_no_closed_streams(options, 1)
        // Resets are counted here, against the clock that is handed in.
        nghttp2_option_set_stream_reset_rate_limit(options, .max, .max)
        var library: OpaquePointer?
        let made = nghttp2_session_server_new3(
            &library, LibraryCallbacks.shared.pointer, Unmanaged.passUnretained(self).toOpaque(), options,
            pool.libraryMemory.functions)
        nghttp2_option_del(options)
        precondition(made == 0, "libnghttp2 could not make a session: out of memory")
        let settings = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue), value: limits.maximumConcurrentStreams),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(limits.streamWindow)),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
                value: UInt32(clamping: limits.maximumHeaderListBytes)),
            // No priority tree: it costs on every stream, and clients could make it cost more.
            nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES.rawValue), value: 1),
        ]
        nghttp2_submit_settings(library, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count)
        nghttp2_session_set_local_window_size(library, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, limits.connectionWindow)
        return library!
    }

    // MARK: Reading

    /// Of any kind but CONTINUATION.
    fileprivate func frameBegan() { openBlock = nil }

    fileprivate func headersBegan(_ frame: UnsafePointer<nghttp2_frame>) {
        openHead = nil
        guard frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST, !isTerminating else { return }
        let stream = pool.take()
        let id = frame.pointee.hd.stream_id
        stream.open(id: id, session: self)
        stream.indexInSession = streams.count
        streams.append(stream)
        // Unretained: `streams` holds it until the library closes the stream, or the session is abandoned.
        let pointer = Unmanaged.passUnretained(stream).toOpaque()
        nghttp2_session_set_stream_user_data(library, id, pointer)
        streamInUse.note(id, pointer)
        openHead = Unmanaged.passUnretained(stream)
        counters.add(.streamsOpened)
        counters.add(.streamsOpen)
    }

    fileprivate func headerReceived(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        // Trailers of a request have no stream here; they are read and forgotten.
        openHead?._withUnsafeGuaranteedRef { $0.headerReceived(name, value, limit: limits.maximumHeaderListBytes) }
    }

    fileprivate func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = frame.pointee.hd
        let ends = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        switch UInt32(header.type) {
        case NGHTTP2_DATA.rawValue:
            if ends { requestEnded(header.stream_id) } else if header.length == 0 { controlFrameReceived() }
        case NGHTTP2_HEADERS.rawValue:
            if let began = openHead {
                openHead = nil
                began._withUnsafeGuaranteedRef { headComplete($0, requestEnded: ends) }
            } else if ends {
                requestEnded(header.stream_id)
            }
        case NGHTTP2_RST_STREAM.rawValue: resetHappened()
        case NGHTTP2_PING.rawValue: pingReceived(frame)
        case NGHTTP2_SETTINGS.rawValue:
            sawSettings = true
            if header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 { controlFrameReceived() }
        case NGHTTP2_PRIORITY.rawValue: controlFrameReceived()
        default: break
        }
    }

    private func headComplete(_ stream: HTTP2Stream, requestEnded: Bool) {
        stream.requestIsComplete = requestEnded
        if stream.headTooLarge {
            counters.add(.headerListsTooLarge)
            reset(stream, HTTP2ErrorCode.frameSizeError)
            return
        }
        stream.announced = true
        sink.requestBegan(stream)
    }

    /// The library answers a frame with RST_STREAM. Without a stream nothing else would limit how many of these wait to be sent.
    fileprivate func invalidFrameReceived(_ id: Int32) {
        if streamInUse.find(id, library) == nil { resetHappened() }
    }

    private func requestEnded(_ id: Int32) {
        guard let pointer = streamInUse.find(id, library) else { return }
        withStream(pointer) { stream in
            stream.requestIsComplete = true
            if stream.announced, !stream.resetByServer { sink(of: stream).requestEnded(stream) }
        }
    }

    fileprivate func bodyReceived(_ id: Int32, _ bytes: UnsafeRawBufferPointer) {
        uncreditedOnConnection += bytes.count
        guard let pointer = streamInUse.find(id, library) else { return }
        withStream(pointer) { stream in
            if stream.announced, !stream.resetByServer { sink(of: stream).requestBody(bytes, on: stream) }
        }
    }

    private func pingReceived(_ frame: UnsafePointer<nghttp2_frame>) {
        if frame.pointee.hd.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0 {
            let payload = withUnsafeBytes(of: frame.pointee.ping.opaque_data) { $0.loadUnaligned(as: UInt64.self) }
            owner?.pingAnswered(UInt64(bigEndian: payload))
            return
        }
        if !pings.pinged(now: now, openStreams: streams.count) {
            counters.add(.tooManyPings)
            terminate(HTTP2ErrorCode.enhanceYourCalm, debugText: "too_many_pings")
        }
    }

    private func controlFrameReceived() {
        guard !controlFrames.take(now: now) else { return }
        counters.add(.controlFloods)
        terminate(HTTP2ErrorCode.enhanceYourCalm, debugText: "too many control frames")
    }

    /// A stream was reset by the client, or by an error of its making.
    private func resetHappened() {
        guard !resets.take(now: now) else { return }
        counters.add(.rapidResets)
        terminate(HTTP2ErrorCode.enhanceYourCalm, debugText: "too many stream resets")
    }

    // MARK: After writing

    fileprivate func frameSent(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = frame.pointee.hd
        switch UInt32(header.type) {
        case NGHTTP2_DATA.rawValue, NGHTTP2_HEADERS.rawValue:
            pings.sentToClient()
            if header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 { responseSent(header.stream_id) }
        case NGHTTP2_RST_STREAM.rawValue: resetSent(header.stream_id, frame.pointee.rst_stream.error_code)
        default: break
        }
    }

    private func responseSent(_ id: Int32) {
        guard let pointer = streamInUse.find(id, library) else { return }
        let requestIsOpen = withStream(pointer) { stream in
            stream.responseEnded = true
            return !stream.requestIsComplete
        }
        // The client need not go on with a request that is answered already (RFC 9113, section 8.1).
        if requestIsOpen {
            nghttp2_submit_rst_stream(library, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, HTTP2ErrorCode.noError)
        }
    }

    /// The library resets streams for the client's errors; those that it never opened were counted as they arrived.
    private func resetSent(_ id: Int32, _ code: UInt32) {
        guard code != HTTP2ErrorCode.noError, let pointer = streamInUse.find(id, library) else { return }
        if !withStream(pointer, { $0.resetByServer }) { resetHappened() }
    }

    fileprivate func streamClosed(_ id: Int32, _ code: UInt32) {
        guard let pointer = streamInUse.find(id, library) else { return }
        let (index, finished) = withStream(pointer) { ($0.indexInSession, $0.responseEnded && code == HTTP2ErrorCode.noError) }
        closeStream(at: index, finished ? .finished : .reset(code: code))
    }
}

/// The callback table, made once: libnghttp2 copies it into every session.
private struct LibraryCallbacks: @unchecked Sendable {
    // Sendable: written during initialization only, and only read by the library.
    let pointer: OpaquePointer

    static let shared = LibraryCallbacks()

    private init() {
        var table: OpaquePointer?
        nghttp2_session_callbacks_new(&table)
        nghttp2_session_callbacks_set_on_begin_frame_callback(table) { _, _, session in
            withSession(session) { $0.frameBegan() }
            return 0
        }
        nghttp2_session_callbacks_set_on_begin_headers_callback(table) { _, frame, session in
            withSession(session) { $0.headersBegan(frame!) }
            return 0
        }
        nghttp2_session_callbacks_set_on_header_callback(table) { _, _, name, nameCount, value, valueCount, _, session in
            withSession(session) {
                $0.headerReceived(
                    UnsafeRawBufferPointer(start: name, count: nameCount), UnsafeRawBufferPointer(start: value, count: valueCount)
                )
            }
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(table) { _, frame, session in
            withSession(session) { $0.frameReceived(frame!) }
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table) { _, _, id, bytes, count, session in
            withSession(session) { $0.bodyReceived(id, UnsafeRawBufferPointer(start: bytes, count: count)) }
            return 0
        }
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(table) { _, frame, _, session in
            withSession(session) { $0.invalidFrameReceived(frame!.pointee.hd.stream_id) }
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_send_callback(table) { _, frame, session in
            withSession(session) { $0.frameSent(frame!) }
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(table) { _, id, code, session in
            withSession(session) { $0.streamClosed(id, code) }
            return 0
        }
        nghttp2_session_callbacks_set_send_data_callback(table, writeDataFrame)
        pointer = table!
    }
}

/// The session behind libnghttp2's user data, without a retain: it outlives every call of the library that it makes.
@inline(__always)
func withSession<R>(_ pointer: UnsafeMutableRawPointer?, _ body: (HTTP2Session) -> R) -> R {
    Unmanaged<HTTP2Session>.fromOpaque(pointer!)._withUnsafeGuaranteedRef(body)
}

/// The stream behind a stream's user data, without a retain: `HTTP2Session.streams` holds it until the library closes it.
@inline(__always)
func withStream<R>(_ pointer: UnsafeMutableRawPointer, _ body: (HTTP2Stream) -> R) -> R {
    Unmanaged<HTTP2Stream>.fromOpaque(pointer)._withUnsafeGuaranteedRef(body)
}
