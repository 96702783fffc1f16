import Bytes

/// A range of user keys as etcd's requests spell it.
public struct KeyRange: Equatable, Sendable {
    public enum End: Equatable, Sendable {
        /// Only the key itself.
        case single
        /// Every key from the first on: a range end of one zero byte.
        case open
        /// Keys below this one.
        case before([UInt8])
    }

    public let first: [UInt8]
    public let end: End

    /// `rangeEnd`: empty for one key, a single zero byte for "and all after", else the first key past the range.
    public init(key: [UInt8], rangeEnd: [UInt8]) {
        first = key
        if rangeEnd.isEmpty {
            end = .single
        } else if rangeEnd == [0] {
            end = .open
        } else {
            end = .before(rangeEnd)
        }
    }

    public func contains(_ key: UnsafeRawBufferPointer) -> Bool {
        switch end {
        case .single: return compareBytes(key, first) == 0
        case .open: return compareBytes(key, first) >= 0
        case .before(let limit): return compareBytes(key, first) >= 0 && compareBytes(key, limit) < 0
        }
    }
}
