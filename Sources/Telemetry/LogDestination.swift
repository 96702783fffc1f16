import Glibc

/// Where finished lines go. `write` is called on the output's own thread, one line at a time, and may block.
public protocol LogDestination: Sendable {
    /// - Parameter line: a whole line with its newline, or for the journal a ``JournalRecord``.
    /// - Returns: whether the line is written; a lost line is counted.
    func write(_ line: [UInt8], level: LogLevel) -> Bool
}

/// An open file descriptor that someone else owns, such as standard error.
struct DescriptorDestination: LogDestination {
    let descriptor: Int32

    func write(_ line: [UInt8], level: LogLevel) -> Bool { writeWhole(line, to: descriptor) }
}

/// Writes a line with one call, so that lines of several processes on the same file do not mix; only where the kernel takes a
/// part of it, the rest follows in another.
func writeWhole(_ line: [UInt8], to descriptor: Int32) -> Bool {
    var written = 0
    while written < line.count {
        // The pointer is valid for the call, and `written` stays below the array's size.
        let count = line.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written) }
        if count >= 0 {
            written += count
        } else if errno == EAGAIN {
            // Somebody made the descriptor non-blocking: wait here, on the output's own thread.
            var poller = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&poller, 1, 1_000) >= 0 || errno == EINTR else { return false }
        } else if errno != EINTR {
            return false
        }
    }
    return true
}

/// Why a log cannot be opened.
public struct LogProblem: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
}

/// A file that is appended to, and rotated where that is asked for.
final class FileDestination: LogDestination, @unchecked Sendable {
    // Unchecked: `descriptor` and `size` are used by `write` alone, which one thread calls.
    private let path: String
    private let rotation: LogFileRotation?
    private let now: @Sendable () -> WallTime
    private var descriptor: Int32
    private var size: UInt64

    init(path: String, rotation: LogFileRotation?, now: @escaping @Sendable () -> WallTime) throws(LogProblem) {
        self.path = path
        self.rotation = rotation
        self.now = now
        (descriptor, size) = try Self.openFile(path)
    }

    deinit { close(descriptor) }

    private static func openFile(_ path: String) throws(LogProblem) -> (Int32, UInt64) {
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw LogProblem(description: "open \(path): \(String(cString: strerror(errno)).lowercased())")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return (descriptor, 0) }
        return (descriptor, UInt64(max(0, status.st_size)))
    }

    func write(_ line: [UInt8], level: LogLevel) -> Bool {
        if let rotation, size > 0, size + UInt64(line.count) > rotation.maximumBytes { rotate(rotation) }
        guard writeWhole(line, to: descriptor) else { return false }
        size += UInt64(line.count)
        return true
    }

    /// Moves the file away and starts another. When that fails the old file grows on: losing lines would be worse.
    private func rotate(_ rotation: LogFileRotation) {
        let time = now()
        guard rename(path, rotation.backupPath(of: path, at: time)) == 0 else { return }
        if let (fresh, freshSize) = try? Self.openFile(path) {
            close(descriptor)
            descriptor = fresh
            size = freshSize
        }
        rotation.removeOldBackups(of: path, at: time)
    }
}
