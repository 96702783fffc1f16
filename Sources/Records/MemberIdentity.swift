import Bytes
import Raft

/// How etcd gives ids to members and clusters: the first eight bytes of a SHA-1, read big-endian.
public enum MemberIdentity {
    /// A member's id: the digest of its sorted peer URLs, the cluster's token and, for members added to a running cluster, the
    /// time of the addition.
    ///
    /// - Parameters:
    ///   - peerURLs: as Go's `url.String()` prints them.
    ///   - clusterToken: `--initial-cluster-token`; empty for a member that is added later.
    ///   - unixSeconds: nil for the members of a new cluster, whose ids everybody must find alike.
    public static func memberID(peerURLs: [String], clusterToken: String, unixSeconds: Int64? = nil) -> MemberID {
        let sorted = peerURLs.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let time = unixSeconds.map(String.init) ?? ""
        return leadingBytes(of: SHA1.digest(Array((sorted.joined() + clusterToken + time).utf8)))
    }

    /// A new cluster's id: the digest of its members' ids in rising order, eight bytes each.
    public static func clusterID(members: [MemberID]) -> UInt64 {
        var writer = ByteWriter()
        for member in members.sorted() { writer.appendBigEndian(member) }
        return leadingBytes(of: SHA1.digest(writer.array()))
    }

    /// An id as etcd prints it and uses it in keys: hexadecimal without leading zeros.
    public static func text(_ id: UInt64) -> String { String(id, radix: 16) }

    /// Reads an id in hexadecimal, of one to sixteen digits.
    public static func parse(_ text: some StringProtocol) -> UInt64? {
        guard (1...16).contains(text.utf8.count), text.utf8.first != UInt8(ascii: "+") else { return nil }
        return UInt64(text, radix: 16)
    }

    private static func leadingBytes(of digest: [UInt8]) -> UInt64 {
        digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
