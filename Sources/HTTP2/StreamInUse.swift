import CNGHTTP2

/// The stream that the library spoke of last: most frames and callbacks that follow are of the same one, and the library's own table costs
/// a search each time.
struct StreamInUse {
    private var id: Int32 = 0
    private var pointer: UnsafeMutableRawPointer?

    mutating func note(_ id: Int32, _ pointer: UnsafeMutableRawPointer) { (self.id, self.pointer) = (id, pointer) }

    /// The user data of stream `id`; nil if it has none, or is no longer there.
    mutating func find(_ id: Int32, _ library: OpaquePointer?) -> UnsafeMutableRawPointer? {
        if id == self.id, let pointer { return pointer }
        guard let found = nghttp2_session_get_stream_user_data(library, id) else { return nil }
        note(id, found)
        return found
    }

    /// To be called before a stream object serves another stream.
    mutating func forget(_ id: Int32) {
        if id == self.id { (self.id, pointer) = (0, nil) }
    }
}
