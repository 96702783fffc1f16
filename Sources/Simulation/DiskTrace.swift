import Host

/// One call to a ``FaultyDisk``, for reading what led to a failure.
public struct DiskTraceEntry: Sendable, CustomStringConvertible {
    /// 1 for the disk's first call.
    public let ordinal: Int
    public let operation: String
    public let path: String
    public let offset: Int?
    /// Bytes read or written, the new size, or nil.
    public let count: Int?
    public internal(set) var failure: DiskError?

    public var description: String {
        var text = "#\(ordinal) \(operation) \(path)"
        if let offset { text += " at \(offset)" }
        if let count { text += " count \(count)" }
        if let failure { text += " FAILED: \(failure.reason)" }
        return text
    }
}

/// The last calls, with those before them counted only.
struct DiskTrace: Sendable {
    private(set) var entries: [DiskTraceEntry] = []
    private(set) var count = 0
    private static let limit = 20_000

    mutating func append(_ operation: String, _ path: String, offset: Int?, count bytes: Int?) {
        count += 1
        if entries.count == Self.limit { entries.removeFirst(Self.limit / 2) }
        entries.append(DiskTraceEntry(ordinal: count, operation: operation, path: path, offset: offset, count: bytes))
    }

    mutating func lastFailed(_ error: DiskError) { entries[entries.count - 1].failure = error }
}
