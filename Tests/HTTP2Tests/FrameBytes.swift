/// One HTTP/2 frame as bytes (RFC 9113, section 4.1), for what no well-behaved client sends.
func frame(_ type: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
    let length = UInt32(payload.count)
    return [UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255), type, flags]
        + [UInt8(stream >> 24), UInt8(stream >> 16 & 255), UInt8(stream >> 8 & 255), UInt8(stream & 255)] + payload
}

enum FrameType {
    static let data: UInt8 = 0
    static let headers: UInt8 = 1
    static let reset: UInt8 = 3
    static let settings: UInt8 = 4
    static let ping: UInt8 = 6
    static let windowUpdate: UInt8 = 8
    static let continuation: UInt8 = 9
}

let clientPreface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(FrameType.settings)

/// A GET request's header block, from HPACK's static table alone: method GET, scheme http, path /, authority "a".
let getHeaderBlock: [UInt8] = [0x82, 0x86, 0x84, 0x01, 0x01, 0x61]

/// What a GOAWAY among the frames says; nil without one.
func goAway(in bytes: [UInt8]) -> (code: UInt32, debugText: String)? {
    var at = 0
    while at + 9 <= bytes.count {
        let length = Int(bytes[at]) << 16 | Int(bytes[at + 1]) << 8 | Int(bytes[at + 2])
        guard at + 9 + length <= bytes.count else { return nil }
        let payload = bytes[(at + 9)..<(at + 9 + length)]
        if bytes[at + 3] == 7 {
            let code = payload.dropFirst(4).prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return (code, String(decoding: payload.dropFirst(8), as: UTF8.self))
        }
        at += 9 + length
    }
    return nil
}
