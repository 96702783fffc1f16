/// Takes the requests of HTTP/2 connections. All calls come on the connection's event loop; what is lent is valid during the call.
///
/// A call may write to, end or reset any stream of the loop. Nothing is sent before the burst of reads is over.
public protocol HTTP2RequestSink: AnyObject {
    /// The header fields are complete. `stream.requestEnded` says whether there is a body to come.
    func requestBegan(_ stream: HTTP2Stream)
    /// A piece of the body. Its bytes stay charged to the client's window until ``HTTP2Stream/credit(_:)``.
    func requestBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2Stream)
    /// The body is complete. Not called when `requestEnded` held in ``requestBegan(_:)``.
    func requestEnded(_ stream: HTTP2Stream)
    /// The output had reached the high-water mark and has fallen to the low one.
    func outputDrained(_ stream: HTTP2Stream)
    /// Input that was held may be taken up again.
    func inputReleased(_ stream: HTTP2Stream)
    /// Exactly once for every stream that began. The stream is closed already and is used again after the call, if nobody holds it.
    func streamClosed(_ stream: HTTP2Stream, _ end: StreamEnd)
    /// One burst of reads of one connection is over; what is written now still goes out with it.
    func readCompleted()
}
