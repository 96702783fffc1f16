import Bytes
import EtcdAPI
import GRPC
import MVCC
import Member
import NIOCore

/// `KV.Range`. A short answer is encoded at once; a long one is measured and sent in portions, as fast as the client reads,
/// so that neither the loop nor the memory belongs to one client.
final class RangeHandler: GRPCStreamHandler {
    /// Answers up to this long are encoded in one go.
    private static let shortBytes = 1 << 20

    /// Long ranges on their way at a time, on this loop.
    private static let longRangeLimit = 256

    private let member: LoopMember
    private var longRanges = 0
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
            // Each holds a portion at a time: so many, and no more memory than that.
            guard longRanges < RangeHandler.longRangeLimit else { return stream.refuse(.tooManyRequests) }
            longRanges += 1
            let long = LongRange(member, published, try query.portions(in: reader, current: current), stream)
            stream.userData = long
            long.goOn()
        }
    }

    func drained(_ stream: GRPCStream) { (stream.userData as? LongRange)?.goOn() }

    func closed(_ stream: GRPCStream) {
        guard let long = stream.userData as? LongRange else { return }
        long.stop()
        longRanges -= 1
    }
}

/// A long range on its way: first its length is found, which gRPC wants before the first byte, then it is sent.
///
/// Pages that have to come from the disk make whoever looks at them wait, so it is read on the pool for that, a portion at a time; the
/// loop only passes it on, as fast as the client reads.
private final class LongRange {
    /// Portions measured in one go.
    private static let measuredTogether = 8

    private struct Step: Sendable {
        let portions: RangePortions
        let bytes: [UInt8]
        let isDone: Bool
    }

    private let member: LoopMember
    private let published: Published
    private var portions: RangePortions
    private let stream: GRPCStream
    private var hasBegun = false
    private var isReading = false
    private var isStopped = false

    init(_ member: LoopMember, _ published: Published, _ portions: RangePortions, _ stream: GRPCStream) {
        self.member = member
        self.published = published
        self.portions = portions
        self.stream = stream
    }

    func stop() { isStopped = true }

    func goOn() {
        guard !isStopped, !isReading, stream.isOpen, !hasBegun || stream.isWritable, let eventLoop = stream.eventLoop else {
            return
        }
        isReading = true
        let portions = portions
        let view = published.view
        let isSending = hasBegun
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        member.port.read(on: eventLoop) {
            isSending ? try LongRange.next(portions, view) : try LongRange.measured(portions, view)
        }.whenComplete { bound.value.take($0) }
    }

    private static func measured(_ portions: RangePortions, _ view: ReadView) throws -> Step {
        var portions = portions
        for _ in 0..<measuredTogether where try portions.measure(view) {
            return Step(portions: portions, bytes: [], isDone: true)
        }
        return Step(portions: portions, bytes: [], isDone: false)
    }

    private static func next(_ portions: RangePortions, _ view: ReadView) throws -> Step {
        var portions = portions
        var writer = ByteWriter(capacity: RangePortions.byteLimit + 4096)
        let isDone = try portions.send(view, into: &writer)
        return Step(portions: portions, bytes: writer.array(), isDone: isDone)
    }

    private func take(_ result: Result<Step, any Error>) {
        isReading = false
        guard !isStopped, stream.isOpen else { return }
        switch result {
        case .success(let step): take(step)
        case .failure(let error):
            member.port.fail("\(error)")
            stream.cancel()
        }
    }

    private func take(_ step: Step) {
        portions = step.portions
        if hasBegun {
            stream.continueMessage { $0.append(step.bytes) }
            if step.isDone { return stream.finish() }
        } else if step.isDone {
            var header = published.status.header
            header.revision = published.view.currentRevision
            let head = portions.head(header)
            stream.beginMessage(length: portions.messageLength(head: head))
            stream.continueMessage { $0.append(head) }
            hasBegun = true
        }
        goOn()
    }
}
