/// Serves calls. One object may serve all calls of a method or one call; everything comes on the connection's event loop, in the
/// order in which it happened.
public protocol GRPCStreamHandler: AnyObject {
    /// One whole request message. Its bytes are lent for the call.
    func received(_ message: UnsafeRawBufferPointer, on stream: GRPCStream)
    /// The client sends no more messages. Not called when the call has been finished before.
    func halfClosed(_ stream: GRPCStream)
    /// There is room again: the waiting output had reached the high-water mark and has fallen to the low one.
    func drained(_ stream: GRPCStream)
    /// Exactly once, and last: the answer went out, the deadline passed, the client cancelled, or the connection was lost;
    /// ``GRPCStream/end`` says which. Sending or finishing has no effect any more.
    func closed(_ stream: GRPCStream)
}

extension GRPCStreamHandler {
    public func halfClosed(_ stream: GRPCStream) {}
    public func drained(_ stream: GRPCStream) {}
    public func closed(_ stream: GRPCStream) {}
}

/// Finds the handlers of calls. One per event loop, confined to it.
public protocol GRPCRouter: AnyObject {
    /// Read once, when the dispatcher is made.
    var methods: GRPCMethodTable { get }
    /// The handler of a new call of the method with this number. A router that refuses the call finishes the stream and returns nil;
    /// nil without that answers UNIMPLEMENTED.
    func handler(for method: Int, stream: GRPCStream) -> (any GRPCStreamHandler)?
    /// One burst of reads of one connection is over: what is sent from here still goes out with it.
    func readCompleted()
}

/// Why a call is over.
public enum GRPCStreamEnd: Equatable, Sendable {
    /// The status went out.
    case finished
    case deadlineExceeded
    /// RST_STREAM with this HTTP/2 error code, by either side.
    case cancelled(code: UInt32)
    case connectionLost
}

/// What a dispatcher counts. `callsOpen` goes down again, the others only grow.
public enum GRPCCounter: Int, CaseIterable, Sendable {
    case callsOpen
    case callsStarted
    case messagesReceived
    case messagesSent
    case deadlinesExceeded
    case cancelled
    case messagesTooLarge
    case malformedMessages
    case unimplemented
    case refusedRequests
    case streamObjectsMade
}
