import Host

/// Why a snapshot file cannot be written or read.
public enum SnapshotError: Error, Equatable, Sendable, CustomStringConvertible {
    case disk(DiskError)
    case corrupt(file: String, reason: String)

    public var description: String {
        switch self {
        case .disk(let error): "snapshot: \(error)"
        case .corrupt(let file, let reason): "snapshot \(file): \(reason)"
        }
    }
}

/// Runs disk operations under this room's type of error.
func onSnapshotDisk<R>(_ body: () throws(DiskError) -> R) throws(SnapshotError) -> R {
    do {
        return try body()
    } catch {
        throw .disk(error)
    }
}
