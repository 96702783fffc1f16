import EtcdAPI
import HTTP2
import Host
import MVCC
import Member
import NIOCore
import Raft

/// What a follower cannot answer by itself: how leases stand, and whether a learner is up to date.
public enum LeaderQuestion: Equatable, Sendable {
    case renewLease(Int64)
    case leaseTimeToLive(Int64, keys: Bool)
    case promote(MemberID)

    var command: MemberCommand {
        switch self {
        case .renewLease(let id): .renewLease(id)
        case .leaseTimeToLive(let id, let keys): .leaseTimeToLive(id, keys: keys)
        case .promote(let id): .changeMembership(.promote(id))
        }
    }
}

/// What event loops know of the member thread.
public protocol MemberPort: AnyObject, Sendable {
    /// The newest published state; from any thread.
    var published: Published { get }
    /// Hands requests over, many at a time; answers come back to the loop each names. `mayTakeTurn`: the calling loop serves nobody else
    /// and may wait for the member's disk itself, where that is quick.
    func post(_ requests: [ClientRequest], mayTakeTurn: Bool)
    /// How long the member has been at one turn, once that is longer than an election timeout: its disk hangs, and in a cluster
    /// another leader may have been elected meanwhile. nil while it makes progress.
    var stall: Instant.Span? { get }
    /// A background task for work that must not hold a loop up; the result comes back to the loop it was asked from.
    func background<Value: Sendable>(
        on eventLoop: any EventLoop, _ body: @escaping @Sendable () throws -> Value
    ) -> EventLoopFuture<Value>
    /// Puts a question to the member that leads, which is another one; the answer comes back to the loop it was asked from.
    func askLeader(_ question: LeaderQuestion, on eventLoop: any EventLoop) -> EventLoopFuture<MemberAnswer>
    /// The same for reading pages that may have to come from the disk, which does not wait for such tasks.
    func read<Value: Sendable>(
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
    private let eventLoop: any EventLoop
    private var outbox: [ClientRequest] = []
    /// Requests of this burst that a stalled member would keep waiting.
    private var refused: [Completion] = []
    private var completions: [UInt64: (completion: Completion, isRead: Bool)] = [:]
    private var nextNumber: UInt64 = 0
    private var ids: RequestIDs
    /// Requests so far that went to the member or read its state; tells an idle loop from a busy one.
    private(set) var handled: UInt64 = 0
    private var handledBefore: UInt64 = 0
    private var loneWrites = LoneWrites()
    /// nil where the loop must never wait for the disk.
    private let occupancy: LoopOccupancy?
    private var burst: (published: Published, reader: Reader)?

    /// - Parameters:
    ///   - salt: drawn at the start, so that request ids differ from those of an earlier run.
    ///   - occupancy: knows the connections of this loop, under `index`.
    public init(
        index: Int, port: any MemberPort, eventLoop: any EventLoop, salt: UInt64, occupancy: LoopOccupancy? = nil
    ) {
        self.index = index
        self.occupancy = occupancy
        self.eventLoop = eventLoop
        self.port = port
        ids = RequestIDs(memberID: port.published.status.memberID, salt: salt, lane: UInt64(index) + 1)
    }

    public func nextRequestID() -> UInt64 { ids.next() }

    /// A stalled member gets no more requests: what was never proposed is certain not to happen, so the client may ask elsewhere.
    ///
    /// `isShortWrite`: the member is done with it in no time once it is on the disk.
    public func submit(_ command: MemberCommand, isShortWrite: Bool = false, _ completion: @escaping Completion) {
        handled &+= 1
        if isShortWrite { loneWrites.add() }
        guard port.stall == nil else { return refused.append(completion) }
        nextNumber &+= 1
        var isRead = false
        if case .readIndex = command { isRead = true }
        completions[nextNumber] = (completion, isRead)
        outbox.append(ClientRequest(command, reply: ReplyAddress(loop: index, request: nextNumber)))
    }

    /// Runs work that must not hold the loop up; `done` is called on the loop.
    func background<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value, done: @escaping (Result<Value, any Error>) -> Void
    ) {
        port.background(on: eventLoop, body).assumeIsolated().whenComplete { [self] result in
            done(result)
            endBurst()
        }
    }

    /// Asks this member, and the one that leads when it is another: until there is an answer, or for as long as a request may take.
    func submitToLeader(
        _ question: LeaderQuestion, until deadline: NIODeadline = .now() + .seconds(7), _ completion: @escaping Completion
    ) {
        submit(question.command) { [self] answer in
            guard case .refused(let error) = answer, error == .notLeader || error == .noLeader else { return completion(answer) }
            port.askLeader(question, on: eventLoop).assumeIsolated().whenSuccess { [self] answer in
                if case .refused(.noLeader) = answer {
                    if NIODeadline.now() < deadline {
                        submitToLeader(question, until: deadline, completion)
                    } else {
                        completion(.refused(.timeout))
                    }
                } else {
                    completion(answer)
                }
                endBurst()
            }
        }
    }

    /// Hands over what the burst gathered, and lets its view go.
    public func endBurst() {
        burst = nil
        if handled != handledBefore {
            loneWrites.endBurst(requests: handled &- handledBefore, unanswered: completions.count)
            handledBefore = handled
        }
        if !outbox.isEmpty { handOver() }
        while !refused.isEmpty {
            let turnedAway = refused
            refused.removeAll()
            for completion in turnedAway { completion(.refused(.noLeader)) }
        }
    }

    /// A lone write may be on its way to the disk when this returns, or be there: then the loop has waited, which it does only while nobody else
    /// depends on it.
    private func handOver() {
        let mayWait = loneWrites.areTheRule && outbox.count == 1 && occupancy?.seclude(index) == true
        port.post(outbox, mayTakeTurn: mayWait)
        if mayWait { occupancy?.open(index) }
        outbox.removeAll(keepingCapacity: true)
    }

    public func deliver(_ answers: [(request: UInt64, answer: MemberAnswer)]) {
        for item in answers { completions.removeValue(forKey: item.request)?.completion(item.answer) }
    }

    /// To be called from time to time: answers requests that a stalled member has taken and cannot answer itself. Reads are refused
    /// at once; a write may still happen, so its client waits as long as it would have, `requestTimeout`.
    public func lookForStall(requestTimeout: Instant.Span) {
        guard let stall = port.stall else { return }
        let isTooLate = stall > requestTimeout
        for number in completions.keys.sorted() {
            guard let waiting = completions[number], waiting.isRead || isTooLate else { continue }
            completions[number] = nil
            waiting.completion(.refused(waiting.isRead ? .noLeader : .timeout))
        }
        endBurst()
    }

    /// The member's state, the same all through a burst.
    public var published: Published {
        if let burst { return burst.published }
        return port.published
    }

    /// Lends a reader of the newest view. Its page cursor lives through the burst, so that neighbouring reads are cheap.
    public func withReader<R>(_ body: (inout Reader, Published) throws -> R) throws -> R {
        handled &+= 1
        if burst == nil {
            let published = port.published
            burst = (published, try published.view.reader())
        }
        return try body(&burst!.reader, burst!.published)
    }
}

extension Instant.Span {
    /// A stall of this length, for people.
    var reason: String { "STALLED: waiting for the disk for \(nanoseconds / 1_000_000) ms" }
}
