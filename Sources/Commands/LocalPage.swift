import Glibc

/// One page of a daemon on this host, asked for over HTTP/1.1 with a patience of three seconds.
enum LocalPage {
    enum Place {
        case tcp(host: String, port: UInt16)
        case unix(path: String)
    }

    struct Answer {
        let status: Int
        let body: String
    }

    private static let longest = 16 << 20

    static func get(_ place: Place, _ path: String) -> Result<Answer, Problem> {
        let descriptor: Int32
        switch connected(place) {
        case .success(let found): descriptor = found
        case .failure(let problem): return .failure(problem)
        }
        defer { close(descriptor) }
        let request = Array("GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            return .failure(.last)
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < longest {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            if count < 0 { return .failure(.last) }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return parse(String(decoding: bytes, as: UTF8.self))
    }

    struct Problem: Error {
        let reason: String
        static var last: Problem { Problem(reason: String(cString: strerror(errno)).lowercased()) }
    }

    private static func parse(_ text: String) -> Result<Answer, Problem> {
        let head = text.utf8.prefix(20)
        guard head.starts(with: "HTTP/1.1 ".utf8), let status = Int(String(decoding: head.dropFirst(9).prefix(3), as: UTF8.self))
        else {
            return .failure(Problem(reason: text.isEmpty ? "the connection was closed (does it want TLS?)" : "no HTTP answer"))
        }
        // The end of the head, looked for in bytes: to Swift "\r\n" is one character.
        let bytes = Array(text.utf8)
        var at = 0
        while at + 3 < bytes.count, Array(bytes[at..<(at + 4)]) != [13, 10, 13, 10] { at += 1 }
        return .success(Answer(status: status, body: String(decoding: bytes.dropFirst(at + 4), as: UTF8.self)))
    }

    private static func connected(_ place: Place) -> Result<Int32, Problem> {
        switch place {
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            let bytes = Array(path.utf8)
            guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
                return .failure(Problem(reason: "path too long"))
            }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
            // The address lives through the call, whose length it is given.
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect($0, socklen_t(MemoryLayout<sockaddr_un>.size), AF_UNIX)
                }
            }
        case .tcp(let host, let port):
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            var list: UnsafeMutablePointer<addrinfo>?
            guard getaddrinfo(host, String(port), &hints, &list) == 0 else {
                return .failure(Problem(reason: "unknown host \(host)"))
            }
            defer { freeaddrinfo(list) }
            var outcome: Result<Int32, Problem> = .failure(Problem(reason: "no address"))
            var entry = list
            while let found = entry {
                outcome = connect(found.pointee.ai_addr, found.pointee.ai_addrlen, found.pointee.ai_family)
                if case .success = outcome { break }
                entry = found.pointee.ai_next
            }
            return outcome
        }
    }

    private static func connect(_ address: UnsafePointer<sockaddr>, _ length: socklen_t, _ family: Int32) -> Result<
        Int32, Problem
    > {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return .failure(.last) }
        var patience = timeval(tv_sec: 3, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        guard Glibc.connect(descriptor, address, length) == 0 else {
            defer { close(descriptor) }
            return .failure(.last)
        }
        return .success(descriptor)
    }
}
