import CNGHTTP2

/// Where a session's frames go while it produces them: memory that the connection lends for one call.
///
/// A class, because libnghttp2's callbacks write DATA frames into it while ``pull(_:)`` takes the others.
final class FrameBuffer {
    /// Room that is needed to be sure of one more frame: the largest payload that libnghttp2 makes when it is not asked for more, a frame
    /// header, and a pad length.
    static let roomForOneFrame = 16_384 + 9 + 1

    private var next: UnsafeMutableRawPointer?
    private var room = 0

    var hasRoom: Bool { room >= Self.roomForOneFrame }

    /// Lends `memory` for the time of `body`; returns how many bytes were written to it.
    func fill(
        _ memory: UnsafeMutableRawBufferPointer, _ body: () throws(HTTP2SessionError) -> Void
    ) throws(HTTP2SessionError) -> Int {
        next = memory.baseAddress
        room = memory.count
        defer {
            next = nil
            room = 0
        }
        try body()
        return memory.count - room
    }

    /// Takes frames from libnghttp2 until it has none, or there is no room to be sure of one more. `library` is asked every time: callbacks may end
    /// the session.
    func pull(_ library: () -> OpaquePointer?) throws(HTTP2SessionError) {
        while hasRoom, let library = library() {
            var frame: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(library, &frame)
            guard count >= 0 else { throw HTTP2SessionError(code: count) }
            guard count > 0, let frame else { return }
            put(UnsafeRawPointer(frame), count)
        }
    }

    /// Whether a DATA frame with `count` bytes of payload fits.
    func fits(_ count: Int) -> Bool { room >= count + 9 }

    func put(_ bytes: UnsafeRawPointer, _ count: Int) {
        precondition(count <= room, "a frame is larger than the room kept for it")
        next?.copyMemory(from: bytes, byteCount: count)
        next = next.map { $0 + count }
        room -= count
    }
}
