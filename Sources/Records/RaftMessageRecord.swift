import Bytes
import Raft

/// raftpb.Message: type 1, to 2, from 3, term 4, logTerm 5, index 6, entries 7, commit 8, snapshot 9, reject 10, rejectHint 11,
/// context 12.
///
/// The snapshot is always written, empty when there is none, as etcd 3.5 does; raft 3.6 leaves it out, and adds vote 13 and
/// responses 14, which never leave a process.
extension Message: WireRecord {
    public func encode(to writer: inout ByteWriter) {
        writer.required(1, UInt64(kind.rawValue))
        writer.required(2, to)
        writer.required(3, from)
        writer.required(4, term)
        writer.required(5, logTerm)
        writer.required(6, index)
        for entry in entries { entry.encode(as: 7, to: &writer) }
        writer.required(8, commit)
        (snapshot ?? Snapshot()).encode(as: 9, to: &writer)
        writer.required(10, reject)
        writer.required(11, rejectHint)
        writer.field(12, context)
    }

    /// Kinds that never leave a process (a proposal to start an election, a check of the quorum) are refused.
    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init(kind: .append)
        var kindNumber: Int32 = 0
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: kindNumber = try reader.int32(tag)
            case 2: to = try reader.uint64(tag)
            case 3: from = try reader.uint64(tag)
            case 4: term = try reader.uint64(tag)
            case 5: logTerm = try reader.uint64(tag)
            case 6: index = try reader.uint64(tag)
            case 7: entries.append(try Entry(&reader, tag))
            case 8: commit = try reader.uint64(tag)
            case 9: snapshot = try Snapshot(&reader, tag)
            case 10: reject = try reader.bool(tag)
            case 11: rejectHint = try reader.uint64(tag)
            case 12: context = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
        guard let known = MessageKind(rawValue: kindNumber) else { throw .invalid("message kind \(kindNumber)") }
        kind = known
        if kind != .snapshot, snapshot == Snapshot() { snapshot = nil }
    }
}
