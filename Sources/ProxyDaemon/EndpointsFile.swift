import Balancing
import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// A file that names the endpoints, one a line; blank lines and lines that begin with `#` do not count. It is looked at once a second.
final class EndpointsFile: Sendable {
    private let path: String
    private let scheme: EndpointAddress.Scheme
    private let last = Mutex<Result<[UInt8], Problem>?>(nil)
    private static let longest = 1 << 20

    struct Problem: Error, Equatable, CustomStringConvertible { let description: String }

    init(_ path: String, defaultScheme: EndpointAddress.Scheme) {
        self.path = path
        scheme = defaultScheme
    }

    /// The endpoints, or why there are none.
    func read() throws(Problem) -> [Seed] { try parse(try content()) }

    /// The endpoints if the file is not what it was when it was last looked at. A problem is told once, not each time.
    func changed() throws(Problem) -> [Seed]? {
        let now: Result<[UInt8], Problem>
        do throws(Problem) { now = .success(try content()) } catch { now = .failure(error) }
        let isNew = last.withLock { last in
            defer { last = now }
            return last != now
        }
        return isNew ? try parse(try now.get()) : nil
    }

    private func parse(_ bytes: [UInt8]) throws(Problem) -> [Seed] {
        var seeds: [Seed] = []
        for (number, line) in String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            let text = line.drop { $0 == " " || $0 == "\t" }
            if text.allSatisfy({ $0 == " " || $0 == "\t" || $0 == "\r" }) || text.hasPrefix("#") { continue }
            do {
                let seed = Seed(try EndpointAddress(parsing: String(text), defaultScheme: scheme))
                if !seeds.contains(seed) { seeds.append(seed) }
            } catch {
                throw Problem(description: "\(path):\(number + 1): \(error.reason)")
            }
        }
        guard !seeds.isEmpty else { throw Problem(description: "\(path) names no endpoint") }
        return seeds
    }

    private func content() throws(Problem) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Problem(description: "\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while bytes.count <= Self.longest {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count >= 0 else { throw Problem(description: "\(path): \(String(cString: strerror(errno)))") }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
        throw Problem(description: "\(path) is too long")
    }
}
