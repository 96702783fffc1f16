import Balancing
import EtcdAPI
import Forwarding
import GRPC
import HTTP2
import NIOCore

/// Takes the HTTP/2 requests of one event loop's clients and has them answered by members. What is not gRPC goes the way of HTTP/1.1.
final class CallForwarder: HTTP2RequestSink {
    let loop: ServerLoop
    let balancer: LoopBalancer
    let upstreams: Upstreams
    let settings: ForwardingSettings
    let unfinished: UnfinishedRequests
    private let procedures = ProcedureTable()
    private let plainHTTP: HTTPOverHTTP2
    /// Streams that stay open for long, to be moved on or told to go.
    private var longCalls: [ObjectIdentifier: StreamedCall] = [:]
    private var progressTimer: DelayedCall?
    private(set) var isDraining = false

    init(loop: ServerLoop, balancer: LoopBalancer, upstreams: Upstreams, settings: ForwardingSettings, plain: any HTTPRouter) {
        self.loop = loop
        self.balancer = balancer
        self.upstreams = upstreams
        self.settings = settings
        unfinished = UnfinishedRequests(loop)
        plainHTTP = HTTPOverHTTP2(router: plain, loop: loop)
    }

    // MARK: From the clients

    func requestBegan(_ stream: HTTP2Stream) {
        guard let contentType = stream.header("content-type"), Self.isGRPC(contentType) else {
            plainHTTP.requestBegan(stream)
            return
        }
        let found = stream.header(":path").flatMap { procedures.find($0) }
        let kind = found?.kind ?? .unknown
        let call: ForwardedCall
        switch kind.shape {
        case .unary: call = unaryCall(stream)
        case .stream: call = StreamedCall(self)
        case .watch: call = WatchCall(self)
        case .keepAlive: call = KeepAliveCall(self)
        }
        stream.application = call
        call.begin(stream, kind, found?.procedure)
    }

    private func unaryCall(_ stream: HTTP2Stream) -> UnaryCall {
        if let used = stream.application as? UnaryCall, used.forwarder === self { return used }
        return UnaryCall(self)
    }

    /// "application/grpc", alone or followed by "+" or ";".
    private static func isGRPC(_ contentType: UnsafeRawBufferPointer) -> Bool {
        let expected: StaticString = "application/grpc"
        let count = expected.utf8CodeUnitCount
        guard contentType.count >= count, UnsafeRawBufferPointer(rebasing: contentType[..<count]).matches(expected) else {
            return false
        }
        return contentType.count == count || contentType[count] == UInt8(ascii: "+") || contentType[count] == UInt8(ascii: ";")
    }

    func requestBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2Stream) {
        guard let call = stream.application as? ForwardedCall else { return }
        call.note?.requestBytes(bytes.count)
        call.requestBody(bytes)
    }

    func requestEnded(_ stream: HTTP2Stream) { (stream.application as? ForwardedCall)?.requestEnded() }
    func outputDrained(_ stream: HTTP2Stream) { (stream.application as? ForwardedCall)?.clientDrained() }
    func inputReleased(_ stream: HTTP2Stream) {}

    func streamClosed(_ stream: HTTP2Stream, _ end: StreamEnd) {
        (stream.application as? ForwardedCall)?.clientClosed(end)
        // Without a reference of its own here, which would count as somebody who still uses it.
        if stream.application is UnaryCall { stream.releaseApplicationIfShared() } else { stream.application = nil }
    }

    func readCompleted() {
        unfinished.readCompleted()
        balancer.endBurst()
    }

    func note(of stream: HTTP2Stream) -> RequestNote? {
        guard let tell = settings.requestEnded else { return nil }
        let path = stream.header(":path").map { String(decoding: $0.prefix(RequestNote.longestName), as: UTF8.self) } ?? ""
        return RequestNote(stream.session?.connection, loop.eventLoop, name: path, isGRPC: true, tell)
    }

    // MARK: Long calls

    func opened(_ call: StreamedCall) {
        longCalls[ObjectIdentifier(call)] = call
        if progressTimer == nil { scheduleProgress() }
    }

    func closed(_ call: StreamedCall) { longCalls[ObjectIdentifier(call)] = nil }

    private func scheduleProgress() {
        progressTimer = DelayedCall(loop.eventLoop, settings.watchProgressInterval) { [weak self] in
            guard let self else { return }
            self.progressTimer = nil
            for call in self.longCalls.values { call.intervalPassed() }
            if !self.longCalls.isEmpty { self.scheduleProgress() }
        }
    }

    /// Ends every call that has no end of its own, so that its client goes elsewhere; snapshots and short calls finish by themselves.
    func drain() {
        isDraining = true
        for call in Array(longCalls.values) where !call.kind.isMemberSpecific { call.end("quorate proxy: shutting down") }
    }
}
