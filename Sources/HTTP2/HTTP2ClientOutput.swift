import CNGHTTP2

// Bytes out: requests and their bodies become frames in the buffer that the connection lends.
extension HTTP2ClientSession {
    /// Fills `target` with frames; returns how many bytes. Zero means that there is nothing to send now, or, after an error, ever.
    ///
    /// Receivers are called from within: streams that cannot be sent close, and writers are told that there is room.
    func produce(into target: UnsafeMutableRawBufferPointer) throws(HTTP2SessionError) -> Int {
        guard let start = target.baseAddress, target.count >= HTTP2Session.roomForOneFrame else { return 0 }
        self.target = start
        targetRoom = target.count
        enterLibrary()
        defer {
            self.target = nil
            targetRoom = 0
            leaveLibrary()
        }
        var more = true
        while more, targetRoom >= HTTP2Session.roomForOneFrame {
            outputNoted = false
            submitChanged()
            try pull()
            more = tellWriters() || !changed.isEmpty
        }
        let produced = target.count - targetRoom
        bytesSent += produced
        return produced
    }

    /// Takes frames from libnghttp2 until it has none, or there is no room to be sure of one more.
    private func pull() throws(HTTP2SessionError) {
        while let library, targetRoom >= HTTP2Session.roomForOneFrame {
            var frame: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(library, &frame)
            guard count >= 0 else { throw HTTP2SessionError(code: count) }
            guard count > 0, let frame else { return }
            put(UnsafeRawPointer(frame), count)
        }
    }

    private func put(_ bytes: UnsafeRawPointer, _ count: Int) {
        precondition(count <= targetRoom, "a frame is larger than the room kept for it")
        target?.copyMemory(from: bytes, byteCount: count)
        target = target.map { $0 + count }
        targetRoom -= count
    }

    /// Tells writers whose output fell to the low-water mark. True if any was told.
    private func tellWriters() -> Bool {
        guard !fellBelow.isEmpty else { return false }
        let drained = fellBelow
        fellBelow.removeAll(keepingCapacity: true)
        for stream in drained where stream.belongs(to: self) { stream.receiver?.outputDrained(stream) }
        return true
    }

    // MARK: Submitting

    private func submitChanged() {
        // Closing a stream tells its receiver, which may open another one: those wait for the next round.
        let streams = changed
        changed = spareChanged
        for stream in streams where stream.belongs(to: self) {
            stream.changeNoted = false
            if !stream.resetHere { submit(stream) }
        }
        spareChanged = streams
        spareChanged.removeAll(keepingCapacity: streams.capacity <= Self.streamsKeptRoomFor)
    }

    private func submit(_ stream: HTTP2ClientStream) {
        guard let library else { return }
        guard stream.number == 0 else {
            if stream.awaitsOutput {
                stream.awaitsOutput = false
                nghttp2_session_resume_data(library, stream.number)
            }
            return
        }
        let pointer = Unmanaged.passUnretained(stream).toOpaque()
        let number = stream.request.withLibraryFields { fields, count in
            if stream.requestEnds, stream.queuedBytes == 0 {
                return nghttp2_submit_request(library, nil, fields, count, nil, pointer)
            }
            var provider = nghttp2_data_provider()
            // Unretained: the session holds the stream until libnghttp2 closes it, and it asks for no data afterwards.
            provider.source.ptr = pointer
            provider.read_callback = requestDataToSend
            return nghttp2_submit_request(library, nil, fields, count, &provider, pointer)
        }
        if number > 0 {
            stream.number = number
        } else {
            // Out of stream numbers: this connection has served its time.
            closeStream(at: stream.indexInSession, .neverProcessed)
            drain()
        }
    }

    // MARK: What libnghttp2 asks while it sends

    fileprivate func nextData(_ stream: HTTP2ClientStream, _ limit: Int, _ flags: UnsafeMutablePointer<UInt32>) -> Int {
        guard !stream.resetHere else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
        let available = stream.queuedBytes
        let count = min(limit, available)
        flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_NO_COPY.rawValue)
        if count == available, stream.requestEnds {
            flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
        } else if count == 0 {
            stream.awaitsOutput = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        return count
    }

    /// Writes one DATA frame straight from the stream's output.
    fileprivate func sendData(_ stream: HTTP2ClientStream, frameHeader: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
        guard targetRoom >= count + 9 else { return NGHTTP2_ERR_WOULDBLOCK.rawValue }
        guard stream.queuedBytes >= count else { return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue }
        put(UnsafeRawPointer(frameHeader), 9)
        guard count > 0 else { return 0 }
        stream.output.pointee.withFirst(count) { put($0, count) }
        stream.output.pointee.wasSent(count)
        if stream.aboveHighWater, stream.queuedBytes <= configuration.streamOutputLow {
            stream.aboveHighWater = false
            fellBelow.append(stream)
        }
        return 0
    }
}

/// libnghttp2's data source read callback.
private func requestDataToSend(
    _: OpaquePointer?, _: Int32, _: UnsafeMutablePointer<UInt8>?, limit: Int, flags: UnsafeMutablePointer<UInt32>?,
    source: UnsafeMutablePointer<nghttp2_data_source>?, session: UnsafeMutableRawPointer?
) -> Int {
    withClientSession(session) { session in
        withClientStream(source!.pointee.ptr) { session.nextData($0, limit, flags!) }
    }
}

/// libnghttp2's send data callback: called for frames whose payload was left to the application.
func writeRequestDataFrame(
    _: OpaquePointer?, _: UnsafeMutablePointer<nghttp2_frame>?, frameHeader: UnsafePointer<UInt8>?, count: Int,
    source: UnsafeMutablePointer<nghttp2_data_source>?, session: UnsafeMutableRawPointer?
) -> Int32 {
    withClientSession(session) { session in
        withClientStream(source!.pointee.ptr) { session.sendData($0, frameHeader: frameHeader!, count) }
    }
}
