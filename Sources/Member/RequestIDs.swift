/// Ids of proposals: two bytes of the member's id, as in etcd's, four bits of a lane, and 44 that are drawn at each start and counted up.
/// etcd counts from the time of the start. Should the clock be set back to a moment in which the member was started before, ids would
/// come again whose proposals may still be on their way, and an entry of the life before would answer a request of this one.
public struct RequestIDs: Sendable {
    private static let counted: UInt64 = 1 << 44 - 1
    private let prefix: UInt64
    private var count: UInt64

    /// - Parameters:
    ///   - salt: drawn anew for each life of the member.
    ///   - lane: keeps generators of one process apart.
    public init(memberID: UInt64, salt: UInt64, lane: UInt64 = 0) {
        prefix = (memberID & 0xffff) << 48 | (lane & 0xf) << 44
        count = salt & Self.counted
    }

    public mutating func next() -> UInt64 {
        count = (count &+ 1) & Self.counted
        return prefix | count
    }
}
