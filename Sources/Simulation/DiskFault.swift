import Glibc

/// Kinds of disk calls, for choosing which fail.
public struct DiskOperations: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let open = DiskOperations(rawValue: 1 << 0)
    public static let list = DiskOperations(rawValue: 1 << 1)
    public static let exists = DiskOperations(rawValue: 1 << 2)
    public static let createDirectory = DiskOperations(rawValue: 1 << 3)
    public static let rename = DiskOperations(rawValue: 1 << 4)
    public static let remove = DiskOperations(rawValue: 1 << 5)
    public static let removeTree = DiskOperations(rawValue: 1 << 6)
    public static let syncDirectory = DiskOperations(rawValue: 1 << 7)
    public static let size = DiskOperations(rawValue: 1 << 8)
    public static let read = DiskOperations(rawValue: 1 << 9)
    public static let write = DiskOperations(rawValue: 1 << 10)
    public static let setSize = DiskOperations(rawValue: 1 << 11)
    public static let preallocate = DiskOperations(rawValue: 1 << 12)
    public static let syncData = DiskOperations(rawValue: 1 << 13)
    public static let sync = DiskOperations(rawValue: 1 << 14)
    public static let lock = DiskOperations(rawValue: 1 << 15)

    public static let all = DiskOperations(rawValue: (1 << 16) - 1)
    /// Calls that need space.
    public static let allocating: DiskOperations = [.open, .createDirectory, .rename, .write, .setSize, .preallocate]
    public static let syncing: DiskOperations = [.syncData, .sync, .syncDirectory]
    /// Calls that change what is on the disk.
    public static let changing: DiskOperations = [.allocating, .syncing, .remove, .removeTree]
}

/// A failure to come: the nth call, from its injection on, that matches.
public struct DiskFault: Sendable {
    public var operations: DiskOperations
    /// Only paths that end so; "" matches all.
    public var pathSuffix: String
    /// Counts matching calls; 1 is the next.
    public var ordinal: Int
    /// The `errno` value thrown: `EIO`, `ENOSPC`.
    public var code: Int32
    /// How many bytes of a failing write are stored all the same; nil for none.
    public var storedBytes: Int?
    /// Whether all matching calls after that one fail too, as on a full disk.
    public var isLasting: Bool

    public init(
        _ operations: DiskOperations = .all, pathSuffix: String = "", ordinal: Int = 1, code: Int32 = EIO,
        storedBytes: Int? = nil, isLasting: Bool = false
    ) {
        self.operations = operations
        self.pathSuffix = pathSuffix
        self.ordinal = ordinal
        self.code = code
        self.storedBytes = storedBytes
        self.isLasting = isLasting
    }

    /// Counts the call when it matches, and says whether it fails.
    mutating func strikes(_ operation: DiskOperations, path: String) -> Bool {
        guard operations.contains(operation), path.hasSuffix(pathSuffix), ordinal > 0 || isLasting else { return false }
        ordinal -= 1
        return ordinal <= 0
    }
}
