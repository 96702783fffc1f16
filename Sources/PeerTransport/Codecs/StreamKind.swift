/// The two long-lived streams between a pair of members, in each direction (rafthttp).
public enum StreamKind: Int, CaseIterable, Sendable {
    /// Every kind of message but snapshots.
    case message
    /// Appends alone, in the shorter form that their regularity allows ("msgappv2"), so that votes and heartbeats overtake them.
    case append

    /// What follows `/raft/stream/` in the path, before the id of the member that reads.
    var pathComponent: String { self == .message ? "message" : "msgapp" }

    /// How etcd's log calls it.
    var title: String { self == .message ? "stream Message" : "stream MsgApp v2" }
}
