import EtcdAPI
import MVCC
import Member
import NIOCore

/// What event loops know of the member thread.
public protocol MemberPort: AnyObject, Sendable {
    /// The newest published state; from any thread.
    var published: Published { get }
    /// Hands requests over, many at a time; answers come back to the loop each names.
    func post(_ requests: [ClientRequest])
    /// A background task for work that must not hold a loop up; the result comes back to the loop it was asked from.
    func background<Value: Sendable>(
        on eventLoop: any EventLoop, _ body: @escaping @Sendable () throws -> Value
    ) -> EventLoopFuture<Value>
    /// A store error met while reading: final for the member.
    func fail(_ reason: String)
}

/// One event loop's side of the conversation with the member: numbers its requests, gathers those of a burst into one hand-over,
/// and keeps what to do with each answer. Confined to the loop.
public final class LoopMember {
    public typealias Completion = (MemberAnswer) -> Void

    public let index: Int
    public let port: any MemberPort
    private var outbox: [ClientRequest] = []
    private var completions: [UInt64: Completion] = [:]
    private var nextNumber: UInt64 = 0
    private var ids: RequestIDs
    private var burst: (published: Published, reader: Reader)?

    /// `milliseconds`: wall clock at start, so that request ids differ from those of an earlier run.
    public init(index: Int, port: any MemberPort, milliseconds: UInt64) {
        self.index = index
        self.port = port
        ids = RequestIDs(memberID: port.published.status.memberID, milliseconds: milliseconds, lane: UInt64(index) + 1)
    }

    public func nextRequestID() -> UInt64 { ids.next() }

    public func submit(_ command: MemberCommand, _ completion: @escaping Completion) {
        nextNumber &+= 1
        completions[nextNumber] = completion
        outbox.append(ClientRequest(command, reply: ReplyAddress(loop: index, request: nextNumber)))
    }

    /// Hands over what the burst gathered, and lets its view go.
    public func endBurst() {
        burst = nil
        guard !outbox.isEmpty else { return }
        port.post(outbox)
        outbox.removeAll(keepingCapacity: true)
    }

    public func deliver(_ answers: [(request: UInt64, answer: MemberAnswer)]) {
        for item in answers { completions.removeValue(forKey: item.request)?(item.answer) }
    }

    /// The member's state, the same all through a burst.
    public var published: Published {
        if let burst { return burst.published }
        return port.published
    }

    /// Lends a reader of the newest view. Its page cursor lives through the burst, so that neighbouring reads are cheap.
    public func withReader<R>(_ body: (inout Reader, Published) throws -> R) throws -> R {
        if burst == nil {
            let published = port.published
            burst = (published, try published.view.reader())
        }
        return try body(&burst!.reader, burst!.published)
    }
}
