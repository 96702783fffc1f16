import EtcdAPI
import GRPC
import Telemetry

/// Counts calls by the version clients say they are of. One per event loop; the last version seen is kept at hand, because nearly
/// all clients of a process say the same.
final class ClientVersionCounter {
    private let family: CounterFamily
    private var version: [UInt8] = []
    private var unary: Counter
    private var stream: Counter

    init(_ family: CounterFamily) {
        self.family = family
        unary = family.labelled("unary", "unknown")
        stream = family.labelled("stream", "unknown")
    }

    func count(_ procedure: Procedure, _ call: GRPCStream) {
        if let bytes = call.metadataBytes("client-api-version"), !bytes.elementsEqual(version) {
            version = [UInt8](bytes)
            let text = String(decoding: bytes.prefix(32), as: UTF8.self)
            unary = family.labelled("unary", text)
            stream = family.labelled("stream", text)
        }
        (procedure.kind == .unary ? unary : stream).increment()
    }
}
