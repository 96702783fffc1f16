import Glibc

/// The services and methods a server knows, looked up by request path without an allocation.
public struct GRPCMethodTable: Sendable {
    /// What a path leads to.
    public enum Match: Equatable, Sendable {
        /// The method's number: its place in the order the table was made from, over all services.
        case method(Int)
        case unknownMethod
        case unknownService
        /// Not "/service/method".
        case malformed
    }

    private struct Slot: Sendable {
        var path: [UInt8]
        var method: Int
    }

    /// Open addressing, a power of two in size and at most half full.
    private var slots: [Slot?]
    private let services: Set<[UInt8]>

    /// `services` maps full service names ("etcdserverpb.KV") to their methods ("Range"), in the order that numbers them.
    public init(_ services: [(service: String, methods: [String])]) {
        let paths = services.flatMap { service in service.methods.map { Array("/\(service.service)/\($0)".utf8) } }
        var size = 16
        while size < paths.count * 2 { size *= 2 }
        slots = Array(repeating: nil, count: size)
        self.services = Set(services.map { Array($0.service.utf8) })
        for (method, path) in paths.enumerated() { insert(Slot(path: path, method: method)) }
    }

    private mutating func insert(_ slot: Slot) {
        var at = slot.path.withUnsafeBytes { Self.hash($0) } & (slots.count - 1)
        while let taken = slots[at] {
            precondition(taken.path != slot.path, "a method is in the table twice")
            at = (at + 1) & (slots.count - 1)
        }
        slots[at] = slot
    }

    public func match(_ path: UnsafeRawBufferPointer) -> Match {
        guard let start = path.baseAddress else { return .malformed }
        var at = Self.hash(path) & (slots.count - 1)
        while let slot = slots[at] {
            if slot.path.count == path.count, memcmp(slot.path, start, path.count) == 0 { return .method(slot.method) }
            at = (at + 1) & (slots.count - 1)
        }
        guard let (service, _) = Self.split(path) else { return .malformed }
        return services.contains(Array(service)) ? .unknownMethod : .unknownService
    }

    /// Service and method of a path, taken apart at the last slash as grpc-go does; nil if it has no two slashes or does not begin
    /// with one.
    static func split(_ path: UnsafeRawBufferPointer) -> (
        service: Slice<UnsafeRawBufferPointer>, method: Slice<UnsafeRawBufferPointer>
    )? {
        let slash = UInt8(ascii: "/")
        guard path.first == slash, let last = path.lastIndex(of: slash), last > 0 else { return nil }
        return (path[1..<last], path[(last + 1)...])
    }

    /// FNV-1a over the length and the last bytes, which tell methods apart; the name space before them is much the same for all.
    private static func hash(_ path: UnsafeRawBufferPointer) -> Int {
        var hash: UInt32 = 0x811c_9dc5 ^ UInt32(truncatingIfNeeded: path.count)
        for byte in path.suffix(12) { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        return Int(hash)
    }
}
