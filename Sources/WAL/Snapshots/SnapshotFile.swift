import Bytes
import Host
import Raft
import Records

/// One `.snap` file, `%016x-%016x.snap` (term, index): a raftpb.Snapshot with its CRC-32C in a snappb.snapshot.
enum SnapshotFile {
    /// More than any snapshot that etcd sends or stores in one piece.
    static let maximumSize = 1 << 30

    static func name(term: Term, index: LogIndex) -> String { "\(paddedHexadecimal(term))-\(paddedHexadecimal(index)).snap" }

    /// Term and index out of a file's name, nil for other files.
    static func parse(_ name: String) -> (term: Term, index: LogIndex)? {
        let utf8 = Array(name.utf8)
        guard utf8.count == 38, utf8[16] == UInt8(ascii: "-"), name.hasSuffix(".snap"),
            let term = hexadecimalValue(utf8[0..<16]), let index = hexadecimalValue(utf8[17..<33])
        else { return nil }
        return (term, index)
    }

    static func encode(_ snapshot: Snapshot) -> [UInt8] {
        let data = snapshot.encoded()
        return SnapshotEnvelope(checksum: CRC32C.update(0, data), data: data).encoded()
    }

    /// Why a file holds no snapshot.
    struct Malformed: Error {
        var reason: String
    }

    static func decode(_ bytes: [UInt8]) throws(Malformed) -> Snapshot {
        let envelope: SnapshotEnvelope
        do {
            envelope = try SnapshotEnvelope(decoding: bytes)
        } catch {
            throw Malformed(reason: "envelope: \(error)")
        }
        guard !envelope.data.isEmpty, envelope.checksum != 0 else { throw Malformed(reason: "empty snapshot") }
        guard CRC32C.update(0, envelope.data) == envelope.checksum else { throw Malformed(reason: "checksum mismatch") }
        do {
            return try Snapshot(decoding: envelope.data)
        } catch {
            throw Malformed(reason: "snapshot: \(error)")
        }
    }

    /// The whole file.
    static func read(_ disk: any Disk, _ path: String) throws(SnapshotError) -> [UInt8] {
        let file = try onSnapshotDisk { () throws(DiskError) in try disk.open(path, .readOnly) }
        defer { file.close() }
        let size = try onSnapshotDisk { () throws(DiskError) in try file.size() }
        guard size <= maximumSize else { throw .corrupt(file: path, reason: "\(size) bytes are more than a snapshot has") }
        var bytes = [UInt8](repeating: 0, count: size)
        let read = try onSnapshotDisk { () throws(DiskError) in
            try bytes.withUnsafeMutableBufferPointer { (buffer) throws(DiskError) in
                try file.read(at: 0, into: UnsafeMutableRawBufferPointer(buffer))
            }
        }
        bytes.removeLast(size - read)
        return bytes
    }
}
