import CNGHTTP2

// Bytes out: requests and their bodies become frames in the buffer that the connection lends.
extension HTTP2ClientSession {
    /// Fills `target` with frames; returns how many bytes. Zero means that there is nothing to send now, or, after an error, ever.
    ///
    /// Receivers are called from within: streams that cannot be sent close, and writers are told that there is room.
    func produce(into target: UnsafeMutableRawBufferPointer) throws(HTTP2SessionError) -> Int {
        guard target.count >= FrameBuffer.roomForOneFrame else { return 0 }
        enterLibrary()
        defer { leaveLibrary() }
        let produced = try frames.fill(target) { () throws(HTTP2SessionError) in try produceFrames() }
        bytesSent += produced
        return produced
    }

    private func produceFrames() throws(HTTP2SessionError) {
        var more = true
        while more, frames.hasRoom {
            outputNoted = false
            submitChanged()
            try frames.pull { library }
            more = tellWriters() || !changed.isEmpty
        }
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
        swap(&changed, &spareChanged)
        for index in spareChanged.indices where spareChanged[index].belongs(to: self) {
            let stream = spareChanged[index]
            stream.changeNoted = false
            if !stream.resetHere { submit(stream) }
        }
        spareChanged.removeAll(keepingCapacity: spareChanged.capacity <= Self.streamsKeptRoomFor)
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
            // Without body too: grpc-go does not take the end of a request from its header fields, and its server would wait for ever.
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
        guard frames.fits(count) else { return NGHTTP2_ERR_WOULDBLOCK.rawValue }
        guard stream.queuedBytes >= count else { return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue }
        frames.put(UnsafeRawPointer(frameHeader), 9)
        guard count > 0 else { return 0 }
        stream.output.pointee.withFirst(count) { frames.put($0, count) }
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
