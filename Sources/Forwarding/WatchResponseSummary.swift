import Bytes

/// What a watch's resumption needs to know of an `etcdserverpb.WatchResponse`, read without decoding its events.
struct WatchResponseSummary: Equatable {
    /// The store's revision when the response was made.
    var revision: Int64 = 0
    var watchID: Int64 = 0
    var created = false
    var canceled = false
    /// More pieces of the same response follow.
    var fragment = false
    /// Modification revisions of the first and the last event; nil without events.
    var revisions: (first: Int64, last: Int64)?

    init(_ message: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(message)
        var first: UnsafeRawBufferPointer?
        var last: UnsafeRawBufferPointer?
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: revision = try Self.number(3, in: try reader.borrowedBytes(tag))
            case 2: watchID = try reader.int64(tag)
            case 3: created = try reader.bool(tag)
            case 4: canceled = try reader.bool(tag)
            case 7: fragment = try reader.bool(tag)
            case 11:
                last = try reader.borrowedBytes(tag)
                if first == nil { first = last }
            default: try reader.skip(tag)
            }
        }
        if let first, let last { revisions = (try Self.revision(ofEvent: first), try Self.revision(ofEvent: last)) }
    }

    /// An event's key-value (2) has the modification revision as its field 3; deletions carry it too.
    private static func revision(ofEvent event: UnsafeRawBufferPointer) throws(DecodeError) -> Int64 {
        var reader = ByteReader(event)
        while let tag = try reader.nextTag() {
            if tag.field == 2 { return try number(3, in: try reader.borrowedBytes(tag)) }
            try reader.skip(tag)
        }
        return 0
    }

    private static func number(_ field: Int, in message: UnsafeRawBufferPointer) throws(DecodeError) -> Int64 {
        var reader = ByteReader(message)
        while let tag = try reader.nextTag() {
            if tag.field == field { return try reader.int64(tag) }
            try reader.skip(tag)
        }
        return 0
    }

    static func == (a: Self, b: Self) -> Bool {
        a.revision == b.revision && a.watchID == b.watchID && a.created == b.created && a.canceled == b.canceled
            && a.fragment == b.fragment && a.revisions?.first == b.revisions?.first && a.revisions?.last == b.revisions?.last
    }
}
