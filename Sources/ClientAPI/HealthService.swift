import Bytes
import EtcdAPI
import GRPC
import Member

/// `grpc.health.v1.Health`. Serving means: it knows a leader, it is no learner, its data is not known to be corrupt, its disk
/// answers, and clients are not refused.
final class HealthService {
    private enum ServingStatus: Int64 {
        case unknown = 0
        case serving = 1
        case notServing = 2
        case serviceUnknown = 3
    }

    private let member: LoopMember
    private var watchers: [ObjectIdentifier: (stream: GRPCStream, last: ServingStatus, service: String)] = [:]
    private lazy var checks = UnaryHandler { [unowned self] in check($0, $1) }
    private lazy var lists = UnaryHandler { [unowned self] in list($0, $1) }
    private lazy var watches: any GRPCStreamHandler = WatchHandler(self)

    init(_ member: LoopMember) { self.member = member }

    func handler(_ procedure: Procedure) -> any GRPCStreamHandler {
        switch procedure {
        case .healthCheck: checks
        case .healthList: lists
        default: watches
        }
    }

    private func status(of service: String) -> ServingStatus {
        guard service.isEmpty else { return .serviceUnknown }
        let status = member.published.status
        let isServing =
            status.hasLeader && !status.isLearner && !status.isRaised(.corrupt) && member.port.stall == nil
            && status.whyNoClientIsServed == nil
        return isServing ? .serving : .notServing
    }

    private static func service(in message: UnsafeRawBufferPointer) throws(DecodeError) -> String {
        var service = ""
        var reader = ByteReader(message)
        while let tag = try reader.nextTag() {
            if tag.field == 1 { service = try reader.string(tag) } else { try reader.skip(tag) }
        }
        return service
    }

    private func check(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let service: String
        do { service = try HealthService.service(in: message) } catch { return stream.refuseMalformed(error) }
        let status = status(of: service)
        if status == .serviceUnknown { return stream.finish(GRPCStatus(.notFound, "unknown service")) }
        stream.send { $0.field(1, status.rawValue) }
        stream.finish()
    }

    /// HealthListResponse: a map from service to answer.
    private func list(_ message: UnsafeRawBufferPointer, _ stream: GRPCStream) {
        let status = status(of: "")
        stream.send { output in
            output.message(1) { entry in
                entry.message(2) { $0.field(1, status.rawValue) }
            }
        }
        stream.finish()
    }

    /// Tells watchers whose answer has changed; called after each published state, and from time to time as a stalled
    /// member publishes none.
    func advance() {
        for (key, watcher) in watchers {
            let now = status(of: watcher.service)
            guard now != watcher.last else { continue }
            watchers[key]?.last = now
            watcher.stream.send { $0.field(1, now.rawValue) }
        }
    }

    private final class WatchHandler: GRPCStreamHandler {
        private unowned let service: HealthService

        init(_ service: HealthService) { self.service = service }

        func received(_ message: UnsafeRawBufferPointer, on stream: GRPCStream) {
            let name: String
            do { name = try HealthService.service(in: message) } catch { return stream.refuseMalformed(error) }
            let status = service.status(of: name)
            service.watchers[ObjectIdentifier(stream)] = (stream, status, name)
            stream.send { $0.field(1, status.rawValue) }
        }

        func closed(_ stream: GRPCStream) { service.watchers[ObjectIdentifier(stream)] = nil }
    }
}
