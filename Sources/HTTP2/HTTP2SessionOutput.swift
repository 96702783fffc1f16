import Bytes
import CNGHTTP2

// Bytes out: what the streams have to say becomes frames in the buffer that the connection lends.
extension HTTP2Session {
    /// Fills `target` with frames; returns how many bytes. Zero means that there is nothing to send now, or, after an error, ever.
    ///
    /// Sinks are called from within: streams close when their last frame is written, and writers are told that there is room.
    func produce(into target: UnsafeMutableRawBufferPointer) throws(HTTP2SessionError) -> Int {
        guard target.count >= FrameBuffer.roomForOneFrame else { return 0 }
        enterLibrary()
        defer { leaveLibrary() }
        let produced = try frames.fill(target) { () throws(HTTP2SessionError) in try produceFrames() }
        counters.add(.bytesSent, produced)
        return produced
    }

    private func produceFrames() throws(HTTP2SessionError) {
        var more = true
        while more, frames.hasRoom {
            outputNoted = false
            submitChanged()
            try frames.pull { library }
            more = tellWriters()
            more = releaseHeld() || more || !changed.isEmpty
        }
    }

    /// Tells writers whose output fell to the low-water mark. True if any was told.
    private func tellWriters() -> Bool {
        guard !fellBelow.isEmpty else { return false }
        let drained = fellBelow
        fellBelow.removeAll(keepingCapacity: true)
        for stream in drained where stream.belongs(to: self) {
            sink(of: stream).outputDrained(stream)
        }
        return true
    }

    // MARK: Submitting

    private func submitChanged() {
        // Taken by index: sinks do not run in between, so nothing is added meanwhile.
        for index in changed.indices {
            let stream = changed[index]
            stream.changeNoted = false
            if stream.belongs(to: self), !stream.resetByServer { submit(stream) }
        }
        changed.removeAll(keepingCapacity: changed.capacity <= Self.streamsKeptRoomFor)
    }

    private func submit(_ stream: HTTP2Stream) {
        guard let library else { return }
        if stream.responseSubmitted {
            if stream.awaitsOutput {
                stream.awaitsOutput = false
                nghttp2_session_resume_data(library, stream.id)
            }
            return
        }
        let result: Int32
        switch stream.responseHead {
        case .none: return
        case .template(let template): result = submitResponse(library, stream, template.fields, template.count)
        case .fields(let fields): result = withLibraryFields(fields) { submitResponse(library, stream, $0, $1) }
        case .copied: result = stream.copiedHead.withLibraryFields { submitResponse(library, stream, $0, $1) }
        }
        stream.responseSubmitted = true
        if result != 0 { reset(stream, HTTP2ErrorCode.internalError) }
    }

    private func submitResponse(
        _ library: OpaquePointer, _ stream: HTTP2Stream, _ fields: UnsafePointer<nghttp2_nv>, _ count: Int
    ) -> Int32 {
        if case .plain = stream.responseEnding, stream.queuedBytes == 0 {
            return nghttp2_submit_response(library, stream.number, fields, count, nil)
        }
        if stream.queuedBytes > FrameBuffer.roomForOneFrame { shareBandwidth(library, stream) }
        var provider = nghttp2_data_provider()
        // Unretained: the session holds the stream until libnghttp2 closes it, and it asks for no data afterwards.
        provider.source.ptr = Unmanaged.passUnretained(stream).toOpaque()
        provider.read_callback = dataToSend
        return nghttp2_submit_response(library, stream.number, fields, count, &provider)
    }

    /// Long responses take turns frame by frame (RFC 9218, "incremental") instead of one going out before the next begins.
    private func shareBandwidth(_ library: OpaquePointer, _ stream: HTTP2Stream) {
        var priority = nghttp2_extpri(urgency: UInt32(NGHTTP2_EXTPRI_DEFAULT_URGENCY), inc: 1)
        nghttp2_session_change_extpri_stream_priority(library, stream.number, &priority, 1)
    }

    // MARK: What libnghttp2 asks while it sends

    /// How much of the stream's output goes into the next DATA frame, or the error that says to wait or to go on with trailers.
    fileprivate func nextData(_ stream: HTTP2Stream, _ limit: Int, _ flags: UnsafeMutablePointer<UInt32>) -> Int {
        guard !stream.resetByServer else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
        let available = stream.queuedBytes
        let count = min(limit, available)
        flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_NO_COPY.rawValue)
        guard count == available else { return count }
        switch stream.responseEnding {
        case .open:
            if count > 0 { return count }
            stream.awaitsOutput = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        case .plain:
            flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
        case .trailers(let template):
            flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue | NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue)
            nghttp2_submit_trailer(library, stream.number, template.fields, template.count)
        case .trailerFields(let fields):
            flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue | NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue)
            let result = withLibraryFields(fields) { nghttp2_submit_trailer(library, stream.number, $0, $1) }
            if result != 0 { reset(stream, HTTP2ErrorCode.internalError) }
        case .copiedTrailers:
            flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue | NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue)
            let result = stream.copiedTrailers.withLibraryFields { nghttp2_submit_trailer(library, stream.number, $0, $1) }
            if result != 0 { reset(stream, HTTP2ErrorCode.internalError) }
        }
        return count
    }

    /// Writes one DATA frame straight from the stream's output.
    fileprivate func sendData(_ stream: HTTP2Stream, frameHeader: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
        guard frames.fits(count) else { return NGHTTP2_ERR_WOULDBLOCK.rawValue }
        guard stream.queuedBytes >= count else { return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue }
        frames.put(UnsafeRawPointer(frameHeader), 9)
        if count > 0 {
            stream.output.pointee.withBytes { frames.put($0.baseAddress! + stream.outputSent, count) }
            stream.outputWasSent(count)
            outputLeft(count, stream)
        }
        return 0
    }

    private func outputLeft(_ count: Int, _ stream: HTTP2Stream) {
        queuedOutput -= count
        if stream.aboveHighWater, stream.queuedBytes <= limits.streamOutputLow {
            stream.aboveHighWater = false
            fellBelow.append(stream)
        }
        updateHold()
    }
}

/// libnghttp2's data source read callback.
private func dataToSend(
    _: OpaquePointer?, _: Int32, _: UnsafeMutablePointer<UInt8>?, limit: Int, flags: UnsafeMutablePointer<UInt32>?,
    source: UnsafeMutablePointer<nghttp2_data_source>?, session: UnsafeMutableRawPointer?
) -> Int {
    withSession(session) { session in
        withStream(source!.pointee.ptr) { session.nextData($0, limit, flags!) }
    }
}

/// libnghttp2's send data callback: called for frames whose payload was left to the application.
func writeDataFrame(
    _: OpaquePointer?, _: UnsafeMutablePointer<nghttp2_frame>?, frameHeader: UnsafePointer<UInt8>?, count: Int,
    source: UnsafeMutablePointer<nghttp2_data_source>?, session: UnsafeMutableRawPointer?
) -> Int32 {
    withSession(session) { session in
        withStream(source!.pointee.ptr) { session.sendData($0, frameHeader: frameHeader!, count) }
    }
}
