import Bytes
import Glibc
import Host
import Raft
import Records
import Simulation

@testable import WAL

/// Files that real etcd wrote, each trimmed of the zeros behind its last record.
enum Fixtures {
    static let versions = ["3.4.23", "3.5.1", "3.5.30"]
    static let segment = "0000000000000000-0000000000000000.wal"
    static let snapshot = "0000000000000002-0000000000000065.snap"

    static func read(_ version: String, _ file: String) -> [UInt8] {
        let folder = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let path = "\(folder)/Fixtures/etcd-\(version)/\(file)"
        guard let stream = fopen(path, "rb") else { preconditionFailure("no fixture \(path)") }
        defer { fclose(stream) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, stream)
        return Array(bytes[..<count])
    }

    /// A disk that holds one version's `wal` and `snap` directories.
    static func disk(_ version: String) throws -> FaultyDisk {
        let disk = FaultyDisk()
        try disk.createDirectory("/m/wal", permissions: 0o700)
        try disk.createDirectory("/m/snap", permissions: 0o700)
        disk.setContents("/m/wal/\(segment)", read(version, "wal/\(segment)"))
        disk.setContents("/m/snap/\(snapshot)", read(version, "snap/\(snapshot)"))
        return disk
    }
}

let logPath = "/m/wal"
let firstSegment = "/m/wal/0000000000000000-0000000000000000.wal"
let metadata = LogMetadata(member: 7, cluster: 9).encoded()

/// A disk with the directory that the log goes into.
func emptyDisk() throws -> FaultyDisk {
    let disk = FaultyDisk()
    try disk.createDirectory("/m", permissions: 0o700)
    return disk
}

func entries(_ range: ClosedRange<LogIndex>, term: Term, size: Int = 20) -> [Entry] {
    range.map { index in
        Entry(term: term, index: index, data: (0..<size).map { UInt8(truncatingIfNeeded: Int(index) &* 31 &+ $0 &* 7) | 1 })
    }
}

/// Opens a log, takes its replay and closes it again.
func replay(_ disk: any Disk, from start: SnapshotMarker = SnapshotMarker()) throws(WALError) -> Replay {
    var log = try WriteAheadLog.open(disk, logPath, from: start)
    let replay = log.takeReplay()!
    try log.close()
    return replay
}

/// What a log may be found to hold: the state and entries, without how it was found.
struct Content: Equatable {
    var hardState = HardState()
    var entries: [Entry] = []

    init() {}

    init(_ replay: Replay) {
        hardState = replay.hardState
        entries = replay.entries
    }

    mutating func append(_ entry: Entry) {
        entries.removeAll { $0.index >= entry.index }
        entries.append(entry)
    }
}
