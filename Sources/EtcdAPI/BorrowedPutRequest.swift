import Bytes

/// A `PutRequest` read in place: nothing is copied, so the bytes must outlive it.
///
/// Enough to check a put and to carry its bytes into the log, without the two allocations of a ``PutRequest``.
public struct BorrowedPutRequest {
    public private(set) var key = UnsafeRawBufferPointer(start: nil, count: 0)
    public private(set) var value = UnsafeRawBufferPointer(start: nil, count: 0)
    public private(set) var lease: Int64 = 0
    public private(set) var prevKv = false
    public private(set) var ignoreValue = false
    public private(set) var ignoreLease = false
    /// Whether the bytes may enter the log as they are, as ``CanonicalForm`` has it.
    public private(set) var isCanonical = true

    public init(_ encoded: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(encoded)
        var lastField = 0
        while let tag = try reader.nextTag() {
            if tag.field <= lastField { isCanonical = false }
            lastField = tag.field
            switch tag.field {
            case 1: key = try reader.borrowedBytes(tag)
            case 2: value = try reader.borrowedBytes(tag)
            case 3: lease = try reader.int64(tag)
            case 4: prevKv = try reader.bool(tag)
            case 5: ignoreValue = try reader.bool(tag)
            case 6: ignoreLease = try reader.bool(tag)
            default:
                isCanonical = false
                try reader.skip(tag)
            }
        }
    }
}
