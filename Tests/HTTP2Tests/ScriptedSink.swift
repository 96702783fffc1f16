import Bytes
import HTTP2

/// A sink that records what it is told and does what a test scripts.
final class ScriptedSink: HTTP2RequestSink {
    var began: (HTTP2Stream) -> Void = { _ in }
    var body: (HTTP2Stream, UnsafeRawBufferPointer) -> Void = { stream, bytes in stream.credit(bytes.count) }
    var ended: (HTTP2Stream) -> Void = { _ in }
    var drained: (HTTP2Stream) -> Void = { _ in }
    var released: (HTTP2Stream) -> Void = { _ in }
    var readsCompleted: () -> Void = {}
    /// What every stream that closed closed with, in order.
    private(set) var closed: [(id: Int32, end: StreamEnd)] = []
    private(set) var streams: [Int32: HTTP2Stream] = [:]
    /// Keeps the stream objects, as an application with late answers does.
    var keepsStreams = false

    static let head = HeaderTemplate([(":status", "200"), ("content-type", "text/plain")])
    static let trailers = HeaderTemplate([("result", "fine")])

    func requestBegan(_ stream: HTTP2Stream) {
        if keepsStreams { streams[stream.id] = stream }
        began(stream)
        if stream.requestEnded { ended(stream) }
    }

    func requestBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2Stream) { body(stream, bytes) }
    func requestEnded(_ stream: HTTP2Stream) { ended(stream) }
    func outputDrained(_ stream: HTTP2Stream) { drained(stream) }
    func inputReleased(_ stream: HTTP2Stream) { released(stream) }
    func streamClosed(_ stream: HTTP2Stream, _ end: StreamEnd) { closed.append((stream.id, end)) }
    func readCompleted() { readsCompleted() }

    /// Answers every request with `bytes` and trailers.
    static func answering(_ bytes: [UInt8]) -> ScriptedSink {
        let sink = ScriptedSink()
        sink.ended = { $0.answer(bytes) }
        return sink
    }
}

extension HTTP2Stream {
    func answer(_ bytes: [UInt8]) {
        begin(ScriptedSink.head)
        write { $0.append(bytes) }
        end(trailers: ScriptedSink.trailers)
    }
}
