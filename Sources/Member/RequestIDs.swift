/// Ids of proposals, as etcd makes them: two bytes of the member's id, five of milliseconds at start, one of a counter that
/// overflows into the time. Unique in the cluster, and across restarts that are a millisecond apart.
public struct RequestIDs: Sendable {
    private let prefix: UInt64
    private var suffix: UInt64

    /// `lane` keeps generators of one process apart: each starts at a distance no start-up lasts.
    public init(memberID: UInt64, milliseconds: UInt64, lane: UInt64 = 0) {
        prefix = (memberID & 0xffff) << 48
        suffix = ((milliseconds << 8) &+ (lane << 44)) & 0xffff_ffff_ffff
    }

    public mutating func next() -> UInt64 {
        suffix = (suffix &+ 1) & 0xffff_ffff_ffff
        return prefix | suffix
    }
}
