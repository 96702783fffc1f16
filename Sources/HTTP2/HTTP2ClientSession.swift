import CNGHTTP2

/// What a client session asks of the connection that carries it.
protocol HTTP2ClientSessionOwner: AnyObject {
    /// There is something to send that was not there before. Called once until the next ``HTTP2ClientSession/produce(into:)``.
    func clientSessionHasOutput()
    /// No more streams can be opened: the server said GOAWAY. Those there are go on.
    func clientSessionIsDraining()
}

/// The client side of one HTTP/2 connection, around libnghttp2: requests in, bytes out, bytes in, responses to receivers. It knows no
/// sockets and no clock.
///
/// Confined to one event loop. The connection that owns it calls ``abandon()`` at the end, which closes every stream left.
public final class HTTP2ClientSession {
    let configuration: HTTP2ClientConfiguration
    let pool: HTTP2ClientStreamPool
    /// Unowned: a connection clears this before it goes away, and weak references make every retain of it slow.
    unowned(unsafe) var owner: (any HTTP2ClientSessionOwner)?

    /// An idle session keeps room for so many streams in its tables; a burst of more gives the memory back.
    static let streamsKeptRoomFor = 256

    /// nil once abandoned.
    var library: OpaquePointer?
    /// Every open stream, those that wait included.
    var streams: [HTTP2ClientStream] = []
    /// Streams that wait for the server's limit, oldest at `firstWaiting`.
    private var waiting: [HTTP2ClientStream] = []
    private var firstWaiting = 0
    private(set) var waitingStreams = 0
    /// Streams with something new to send, once each.
    var changed: [HTTP2ClientStream] = []
    /// Empty; keeps the memory of the list that was worked off last.
    var spareChanged: [HTTP2ClientStream] = []
    /// Streams that fell to their low-water mark and have not been told.
    var fellBelow: [HTTP2ClientStream] = []
    /// The stream whose header block has begun and not ended. Unmanaged: `streams` holds it, and closing it clears this.
    var openHead: Unmanaged<HTTP2ClientStream>?
    /// When the last bytes came, in nanoseconds of the event loop's clock.
    public internal(set) var now: UInt64 = 0
    var streamInUse = StreamInUse()
    var uncreditedOnConnection = 0
    var outputNoted = false
    var sawSettings = false
    var sawGoAway = false
    var isDraining = false
    private var isInLibrary = false
    private var abandonAfterwards = false
    /// Where ``produce(into:)`` writes, during the call.
    let frames = FrameBuffer()
    /// Bytes in both directions, for metrics.
    public internal(set) var bytesReceived = 0
    public internal(set) var bytesSent = 0

    init(configuration: HTTP2ClientConfiguration, pool: HTTP2ClientStreamPool) {
        self.configuration = configuration
        self.pool = pool
        library = makeLibrarySession()
    }

    deinit { abandon() }

    public var openStreams: Int { streams.count }

    /// Those who wait for something of this connection's streams.
    public var receivers: [any HTTP2ResponseReceiver] { streams.compactMap(\.receiver) }

    /// Nothing more will be sent or read: the connection can be closed.
    var isFinished: Bool {
        guard let library else { return true }
        return (isDraining && streams.isEmpty)
            || (nghttp2_session_want_read(library) == 0 && nghttp2_session_want_write(library) == 0)
    }

    // MARK: Requests

    /// Whether ``open(_:_:)`` would take a request.
    public var canOpen: Bool { library != nil && !isDraining && waitingStreams < configuration.maximumWaitingStreams }

    /// The server has room for one more stream at once.
    public var hasRoom: Bool { canOpen && waitingStreams == 0 && streams.count < streamLimit }

    /// How many streams the server allows; 100 until its SETTINGS have arrived.
    private var streamLimit: Int {
        guard let library else { return 0 }
        return Int(nghttp2_session_get_remote_settings(library, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    /// Begins a request. `fill` appends its header fields, pseudo-fields first; names in lower case.
    ///
    /// - Returns: nil if the session takes no more requests.
    public func open(_ receiver: any HTTP2ResponseReceiver, _ fill: (HeaderBlock) -> Void) -> HTTP2ClientStream? {
        guard canOpen else { return nil }
        let stream = pool.take()
        stream.owner = Unmanaged.passUnretained(self)
        stream.receiver = receiver
        fill(stream.request)
        stream.indexInSession = streams.count
        streams.append(stream)
        if waitingStreams > 0 || streams.count > streamLimit {
            forgetGivenUp()
            waiting.append(stream)
            waitingStreams += 1
        } else {
            stream.progress = .submitted
            noteChange(of: stream)
        }
        return stream
    }

    /// Streams that were given up while they waited stay in the list until their turn; they must not pile up.
    private func forgetGivenUp() {
        guard waiting.count > 2 * waitingStreams + Self.streamsKeptRoomFor else { return }
        waiting.removeSubrange(..<firstWaiting)
        firstWaiting = 0
        waiting.removeAll { !$0.belongs(to: self) }
    }

    /// Lets waiting requests through as far as the server's limit allows.
    func admitWaiting() {
        while waitingStreams > 0, streams.count - waitingStreams < streamLimit {
            let stream = waiting[firstWaiting]
            firstWaiting += 1
            if stream.belongs(to: self), stream.progress == .waiting {
                waitingStreams -= 1
                stream.progress = .submitted
                noteChange(of: stream)
            }
            if firstWaiting == waiting.count { (waiting, firstWaiting) = ([], 0) }
        }
        if waitingStreams == 0 { (waiting, firstWaiting) = ([], 0) }
    }

    func reset(_ stream: HTTP2ClientStream, _ code: UInt32) {
        guard let library else { return }
        stream.resetHere = true
        stream.resetCode = code
        if stream.number == 0 {
            // Not known to the library yet: nothing has to be said to the server.
            closeStream(at: stream.indexInSession, .neverProcessed)
            return
        }
        nghttp2_submit_rst_stream(library, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.number, code)
        noteOutput()
    }

    // MARK: Bytes in

    func receive(_ bytes: UnsafeRawBufferPointer, now: UInt64) throws(HTTP2SessionError) {
        guard let library else { throw .closed }
        guard let start = bytes.baseAddress else { return }
        self.now = now
        bytesReceived += bytes.count
        enterLibrary()
        defer { leaveLibrary() }
        let taken = nghttp2_session_mem_recv(library, start.assumingMemoryBound(to: UInt8.self), bytes.count)
        guard taken >= 0 else { throw HTTP2SessionError(code: taken) }
        if uncreditedOnConnection > 0 {
            // The streams' windows limit what is kept; one reader that is slow must not stop the others.
            nghttp2_session_consume_connection(library, uncreditedOnConnection)
            uncreditedOnConnection = 0
        }
        admitWaiting()
        noteOutput()
    }

    func ping() {
        guard let library else { return }
        nghttp2_submit_ping(library, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil)
        noteOutput()
    }

    // MARK: The end

    func enterLibrary() { isInLibrary = true }

    func leaveLibrary() {
        isInLibrary = false
        if abandonAfterwards { abandon() }
    }

    /// Opens no more streams; those there are go on.
    func drain() {
        guard !isDraining else { return }
        isDraining = true
        // None of these was ever sent.
        for stream in streams where stream.progress == .waiting { stream.resetHere = true }
        while let stream = streams.first(where: { $0.progress == .waiting }) {
            closeStream(at: stream.indexInSession, .neverProcessed)
        }
        owner?.clientSessionIsDraining()
    }

    /// The connection is gone: closes every stream, each exactly once, and frees the library's state.
    func abandon() {
        guard let library else { return }
        guard !isInLibrary else {
            abandonAfterwards = true
            return
        }
        isDraining = true
        self.library = nil
        while let last = streams.last {
            closeStream(at: streams.count - 1, last.progress == .sent ? .connectionLost : .neverProcessed)
        }
        changed = []
        fellBelow = []
        (waiting, firstWaiting, waitingStreams) = ([], 0, 0)
        openHead = nil
        nghttp2_session_del(library)
    }

    /// Ends the stream here, tells its receiver, and gives the object back to the pool.
    func closeStream(at index: Int, _ end: ClientStreamEnd) {
        // The only reference from here on, unless somebody keeps the stream.
        var stream = streams.removeLast()
        if index < streams.count {
            stream.indexInSession = index
            swap(&stream, &streams[index])
        }
        if openHead?.toOpaque() == Unmanaged.passUnretained(stream).toOpaque() { openHead = nil }
        streamInUse.forget(stream.number)
        if stream.progress == .waiting { waitingStreams -= 1 }
        stream.owner = nil
        let receiver = stream.receiver
        stream.receiver = nil
        receiver?.streamClosed(stream, end)
        pool.give(&stream)
        if streams.isEmpty, streams.capacity > Self.streamsKeptRoomFor { streams = [] }
    }

    // MARK: Output

    func noteChange(of stream: HTTP2ClientStream) {
        guard stream.progress != .waiting else { return }
        if !stream.changeNoted {
            stream.changeNoted = true
            changed.append(stream)
        }
        noteOutput()
    }

    func noteOutput() {
        guard !outputNoted else { return }
        outputNoted = true
        owner?.clientSessionHasOutput()
    }

    func outputAdded(to stream: HTTP2ClientStream) {
        if stream.queuedBytes >= configuration.streamOutputHigh { stream.aboveHighWater = true }
        noteChange(of: stream)
    }

    func credit(_ count: Int, to stream: HTTP2ClientStream) {
        // A server that has sent everything needs no window; small responses never come further than this.
        guard let library, !stream.responseIsComplete, stream.number != 0 else { return }
        stream.uncredited += count
        if stream.uncredited >= Int(configuration.streamWindow) / 4 {
            nghttp2_session_consume_stream(library, stream.number, stream.uncredited)
            stream.uncredited = 0
            noteOutput()
        }
    }
}

/// Stream objects and memory that are free for the next request, for all client connections of one event loop.
public final class HTTP2ClientStreamPool {
    private var free: [HTTP2ClientStream] = []
    private let limit: Int
    let libraryMemory = LibraryMemory()

    public init(limit: Int = 1_024) { self.limit = limit }

    func take() -> HTTP2ClientStream { free.popLast() ?? HTTP2ClientStream() }

    /// Takes back a closed stream, unless somebody else holds it: then it must not be used again.
    func give(_ stream: inout HTTP2ClientStream) {
        guard free.count < limit, isKnownUniquelyReferenced(&stream) else { return }
        stream.prepareForReuse()
        free.append(stream)
    }
}
