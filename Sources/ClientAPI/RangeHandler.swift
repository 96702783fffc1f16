import Bytes
import EtcdAPI
import GRPC
import MVCC
import Member

/// `KV.Range`. A short answer is encoded at once; a long one is measured and sent in portions, as fast as the client reads,
/// so that neither the loop nor the memory belongs to one client.
final class RangeHandler: GRPCStreamHandler {
    /// Answers up to this long are encoded in one go.
    private static let shortBytes = 1 << 20

    private let member: LoopMember
    private let counts: LoopCounts
    private var scratch = ByteWriter(capacity: 4096)

    /// Unknown sort orders and targets are refused from 3.6 on.
    private let checksSortOptions: Bool

    init(_ member: LoopMember, _ counts: LoopCounts, checksSortOptions: Bool) {
        self.member = member
        self.counts = counts
        self.checksSortOptions = checksSortOptions
    }

    func received(_ message: UnsafeRawBufferPointer, on stream: GRPCStream) {
        let request: RangeRequest
        do {
            request = try RangeRequest(decoding: message)
            try RequestCheck.range(request, sortOptions: checksSortOptions)
        } catch let error as EtcdError {
            return stream.refuse(error)
        } catch {
            return stream.refuseMalformed(error)
        }
        if !request.serializable, member.published.status.isLearner {
            return stream.finish(GRPCStatus(.notSupportedForLearner, behavesAsMinor: checksSortOptions ? 6 : 5))
        }
        let query = RangeQuery(request)
        member.whenReadable(serializable: request.serializable, stream) { [unowned self] in answer(query, stream) }
    }

    private func answer(_ query: RangeQuery, _ stream: GRPCStream) {
        member.reading(stream) { reader, published in
            counts.countRange()
            let current = reader.currentRevision
            scratch.removeAll(keepingAtMost: 1 << 20)
            let isShort =
                try !query.isLong(in: reader, current: current)
                && query.encode(
                    header: published.status.header, from: &reader, current: current, into: &scratch,
                    byteLimit: RangeHandler.shortBytes)
            if isShort {
                scratch.withBytes { stream.sendEncoded($0) }
                return stream.finish()
            }
            let long = LongRange(member, published, try query.portions(in: reader, current: current), stream)
            stream.userData = long
            long.goOn()
        }
    }

    func drained(_ stream: GRPCStream) { (stream.userData as? LongRange)?.goOn() }
    func closed(_ stream: GRPCStream) { (stream.userData as? LongRange)?.stop() }
}

/// A long range on its way: first its length is found, which gRPC wants before the first byte, then it is sent.
private final class LongRange {
    private let member: LoopMember
    private let published: Published
    private var portions: RangePortions
    private let stream: GRPCStream
    private var hasBegun = false
    private var isScheduled = false
    private var isStopped = false

    init(_ member: LoopMember, _ published: Published, _ portions: RangePortions, _ stream: GRPCStream) {
        self.member = member
        self.published = published
        self.portions = portions
        self.stream = stream
    }

    func stop() { isStopped = true }

    func goOn() {
        guard !isStopped, !isScheduled, stream.isOpen else { return }
        do {
            if hasBegun { try sendPortion() } else { try measurePortion() }
        } catch {
            member.port.fail("\(error)")
            stream.cancel()
        }
    }

    private func measurePortion() throws {
        guard try portions.measure(published.view) else { return again() }
        var header = published.status.header
        header.revision = published.view.currentRevision
        let head = portions.head(header)
        stream.beginMessage(length: portions.messageLength(head: head))
        stream.continueMessage { $0.append(head) }
        hasBegun = true
        again()
    }

    private func sendPortion() throws {
        guard stream.isWritable else { return }
        var isDone = false
        var failure: (any Error)?
        stream.continueMessage { output in
            do { isDone = try portions.send(published.view, into: &output) } catch { failure = error }
        }
        if let failure { throw failure }
        if isDone { stream.finish() } else { again() }
    }

    /// Lets the loop's other connections have their turn first.
    private func again() {
        guard let eventLoop = stream.eventLoop else { return }
        isScheduled = true
        eventLoop.assumeIsolated().execute {
            self.isScheduled = false
            self.goOn()
        }
    }
}
