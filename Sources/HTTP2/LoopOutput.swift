import NIOCore

/// A connection that may have something to send.
protocol FlushableConnection: AnyObject {
    func flushOutput()
}

/// The way out of one event loop: which connections have output that nothing is about to send, and the buffer it is gathered in.
/// Servers and clients of the same loop share one. Confined to that loop.
public final class LoopOutput {
    public let eventLoop: any EventLoop
    private var dirty: [any FlushableConnection] = []
    /// Empty; keeps the memory of the list that was worked off last.
    private var spareDirty: [any FlushableConnection] = []
    private var flushScheduled = false
    /// The buffer that output is gathered in before its size is known. Empty between flushes.
    private var scratch: ByteBuffer
    private var isGathering = false

    private static let connectionsKeptRoomFor = 1_024

    /// Room for a burst of several hundred small replies, and small enough that the allocator reuses it: from 128 KiB on glibc maps
    /// fresh pages for every buffer, which costs more than filling them.
    static let scratchBytes = 64 << 10
    /// Output of at least this size leaves in the scratch buffer itself; smaller output is copied, so that a slow peer's queue does
    /// not pin large buffers with little in them.
    static let handOverBytes = 16 << 10

    public init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        scratch = ByteBufferAllocator().buffer(capacity: Self.scratchBytes)
    }

    /// Monotonic nanoseconds.
    public var now: UInt64 { eventLoop.now.uptimeNanoseconds }

    /// A connection has output and is not being read from. It goes out at the end of this turn of the loop, or with
    /// ``flushPending()``, whichever is sooner: a thousand replies in one turn cause one write per connection.
    func markDirty(_ connection: any FlushableConnection) {
        dirty.append(connection)
        guard !flushScheduled else { return }
        flushScheduled = true
        eventLoop.assumeIsolated().execute { self.flushScheduledOutput() }
    }

    /// Sends what was written in this turn of the loop now. From within a call that a flush makes, it waits for the end of the turn.
    public func flushPending() {
        while !dirty.isEmpty, !isGathering {
            let connections = dirty
            dirty = spareDirty
            spareDirty = []
            for connection in connections { connection.flushOutput() }
            spareDirty = consume connections
            spareDirty.removeAll(keepingCapacity: spareDirty.capacity <= Self.connectionsKeptRoomFor)
        }
    }

    private func flushScheduledOutput() {
        flushScheduled = false
        flushPending()
    }

    /// Runs `produce` on the scratch buffer; the result is what it wrote, nil if nothing.
    func gather<E: Error>(_ produce: (UnsafeMutableRawBufferPointer) throws(E) -> Int) throws(E) -> ByteBuffer? {
        scratch.clear(minimumCapacity: Self.scratchBytes)
        isGathering = true
        defer { isGathering = false }
        var failure: E?
        let count = scratch.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.scratchBytes) { room in
            do throws(E) {
                return try produce(room)
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        guard count > 0 else { return nil }
        if count < Self.handOverBytes { return ByteBuffer(bytes: scratch.readableBytesView) }
        let full = scratch
        scratch = ByteBuffer()
        return full
    }
}
