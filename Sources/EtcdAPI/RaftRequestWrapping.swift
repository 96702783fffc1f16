import Bytes

extension InternalRaftRequest {
    /// Fields of the requests that clients' bytes are carried in as they came.
    public enum Payload: Int, Sendable {
        case put = 4
        case deleteRange = 5
        case txn = 6
        case compaction = 7
        case leaseGrant = 8
        case leaseRevoke = 9
        case alarm = 10
    }

    /// Encodes a request around a client's own message without decoding it.
    ///
    /// The bytes become part of the log: see ``CanonicalForm`` for which may be taken as they are. `id`: of the request header.
    public static func wrap(_ payload: UnsafeRawBufferPointer, as field: Payload, id: UInt64) -> [UInt8] {
        let envelope = Envelope(payload: payload, field: field, header: RequestHeader(id: id))
        return [UInt8](unsafeUninitializedCapacity: envelope.length) { buffer, count in
            count = envelope.write(to: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// The same with a whole header, which names the user where authentication is on, appended to `writer`.
    public static func wrap(
        _ payload: UnsafeRawBufferPointer, as field: Payload, header: RequestHeader, into writer: inout ByteWriter
    ) {
        let envelope = Envelope(payload: payload, field: field, header: header)
        writer.appendUninitialized(envelope.length) { envelope.write(to: $0) }
    }
}

/// A payload with its field's tag before it and the header after it, as fields go in ascending order and the header is the 100th.
private struct Envelope {
    let payload: UnsafeRawBufferPointer
    let field: InternalRaftRequest.Payload
    let header: RequestHeader

    private var headerLength: Int {
        integerLength(header.id) + integerLength(header.authRevision)
            + (header.username.isEmpty ? 0 : 1 + varintLength(UInt64(header.username.utf8.count)) + header.username.utf8.count)
    }

    private func integerLength(_ value: UInt64) -> Int { value == 0 ? 0 : 1 + varintLength(value) }

    var length: Int {
        1 + varintLength(UInt64(payload.count)) + payload.count + 2 + varintLength(UInt64(headerLength)) + headerLength
    }

    /// Fills the first ``length`` bytes of `room`; returns how many that were.
    func write(to room: UnsafeMutableRawBufferPointer) -> Int {
        var cursor = Cursor(room: room)
        cursor.varint(UInt64(field.rawValue) << 3 | 2)
        cursor.varint(UInt64(payload.count))
        cursor.copy(payload)
        cursor.varint(100 << 3 | 2)
        cursor.varint(UInt64(headerLength))
        cursor.integer(1, header.id)
        if !header.username.isEmpty {
            var name = header.username
            cursor.varint(2 << 3 | 2)
            cursor.varint(UInt64(name.utf8.count))
            name.withUTF8 { cursor.copy(UnsafeRawBufferPointer($0)) }
        }
        cursor.integer(3, header.authRevision)
        return cursor.offset
    }

    private struct Cursor {
        let room: UnsafeMutableRawBufferPointer
        var offset = 0

        init(room: UnsafeMutableRawBufferPointer) { self.room = room }

        mutating func varint(_ value: UInt64) {
            var value = value
            while value >= 0x80 {
                room[offset] = UInt8(truncatingIfNeeded: value) | 0x80
                offset += 1
                value >>= 7
            }
            room[offset] = UInt8(truncatingIfNeeded: value)
            offset += 1
        }

        mutating func integer(_ field: UInt64, _ value: UInt64) {
            if value == 0 { return }
            varint(field << 3)
            varint(value)
        }

        mutating func copy(_ bytes: UnsafeRawBufferPointer) {
            UnsafeMutableRawBufferPointer(rebasing: room[offset...]).copyMemory(from: bytes)
            offset += bytes.count
        }
    }
}
