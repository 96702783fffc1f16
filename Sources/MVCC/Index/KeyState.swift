/// State of a key as one of its revisions left it.
public struct KeyState: Hashable, Sendable {
    /// The revision that made this state.
    public var revision: Revision
    /// Main revision of the first put since the key last came into being. The index knows it of a key's newest revision only;
    /// 0 for older ones, whose stored value has it, and for tombstones.
    public var created: Int64
    /// How many puts since then, this one included. 0 where `created` is.
    public var version: Int64
    public var isTombstone: Bool
    /// Whether this is the newest revision of the key that the snapshot, or the live index, holds.
    public var isNewest: Bool

    @inline(__always)
    init(revision: Revision, created: Int64, version: Int64, isTombstone: Bool, isNewest: Bool) {
        self.revision = revision
        self.created = created
        self.version = version
        self.isTombstone = isTombstone
        self.isNewest = isNewest
    }

    /// An older revision.
    init(_ record: KeyHistoryRecord) {
        self.init(
            revision: record.revision, created: 0, version: 0, isTombstone: record.isTombstone, isNewest: false)
    }
}
