import Glibc
import Host
import Raft

@testable import PeerTransport

/// Bytes that real etcd 3.5.30 wrote (see Fixtures/README.md).
enum Fixture {
    static func read(_ name: String, at here: StaticString = #filePath) -> [UInt8] {
        let folder = "\(here)".split(separator: "/").dropLast().joined(separator: "/")
        let file = fopen("/\(folder)/Fixtures/\(name)", "rb")!
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    /// The body of a captured answer, its chunks put together.
    static func body(_ name: String) -> [UInt8] {
        let bytes = read(name)
        let end = Array("\r\n\r\n".utf8)
        var position = bytes.indices.first { bytes[$0...].starts(with: end) }! + 4
        var body: [UInt8] = []
        while position < bytes.count {
            let lineEnd = bytes[position...].firstIndex(of: 13)!
            let length = Int(String(decoding: bytes[position..<lineEnd], as: UTF8.self), radix: 16)!
            body += bytes[lineEnd + 2..<lineEnd + 2 + length]
            position = lineEnd + 2 + length + 2
        }
        return body
    }
}

extension StreamDecoder {
    /// Decodes an array; what is left of it is thrown away.
    mutating func decode(_ bytes: [UInt8]) throws(StreamError) -> (messages: [Message], used: Int) {
        var messages: [Message] = []
        var used = 0
        var failure: StreamError?
        bytes.withUnsafeBytes { bytes in
            do throws(StreamError) {
                used = try decode(bytes, into: &messages)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return (messages, used)
    }
}

extension Instant {
    static func milliseconds(_ count: UInt64) -> Instant { Instant(nanoseconds: count * 1_000_000) }
}
