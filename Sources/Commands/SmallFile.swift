import Glibc

/// Files of the host's configuration, small and whole.
enum SmallFile {
    private static let longest = 1 << 20

    /// nil when there is none, or it cannot be read.
    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while bytes.count <= longest {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count == 0 ? String(decoding: bytes, as: UTF8.self) : nil }
            bytes += buffer[..<count]
        }
        return nil
    }

    /// All or nothing: a new file takes the old one's place. Directories are made. Returns what went wrong.
    static func write(_ text: String, to path: String, permissions: mode_t = 0o644) -> String? {
        var at = path.startIndex
        while let slash = path[at...].dropFirst().firstIndex(of: "/") {
            mkdir(String(path[..<slash]), 0o755)
            at = slash
        }
        let fresh = path + ".new"
        let descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, permissions)
        guard descriptor >= 0 else { return "\(fresh): \(String(cString: strerror(errno)))" }
        var text = text
        let isWritten = text.withUTF8 { bytes in Glibc.write(descriptor, bytes.baseAddress, bytes.count) == bytes.count }
        let isSafe = isWritten && fsync(descriptor) == 0
        close(descriptor)
        guard isSafe, rename(fresh, path) == 0 else { return "\(path): \(String(cString: strerror(errno)))" }
        return nil
    }
}
