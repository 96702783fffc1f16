import Glibc

/// The pages of the program's file and of its libraries that the process has in memory. The kernel maps sixteen around each one that is
/// touched, so that a start, which touches a little of everything, leaves most of the file mapped for as long as the process lives.
public enum ProgramPages {
    /// Takes them all out of this process's memory; those that are used come back from the page cache, a few microseconds each. To be
    /// called once, when the start is over. Does nothing where the kernel does not tell what is mapped.
    public static func giveBack() {
        let descriptor = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 16_384)
        while case let count = read(descriptor, &part, part.count), count > 0 { bytes += part[..<count] }
        for range in unchanged(in: String(decoding: bytes, as: UTF8.self)) {
            guard let start = UnsafeMutableRawPointer(bitPattern: range.lowerBound) else { continue }
            madvise(start, range.count, MADV_DONTNEED)
        }
    }

    /// Private mappings of files that cannot be written to and of which no page has been changed: the file holds what memory holds. A
    /// library's relocated tables cannot be written to either by the time they are looked at, but they have been (`Anonymous`).
    /// - Parameter smaps: as in proc_pid_smaps(5): for each mapping a line "start-end permissions offset device inode path", and lines
    ///   "name: number kB".
    static func unchanged(in smaps: String) -> [Range<UInt>] {
        var found: [Range<UInt>] = []
        var mapping: Range<UInt>?
        for line in smaps.split(separator: "\n") {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            guard let name = words.first else { continue }
            if name.hasSuffix(":") {
                if name == "Anonymous:", words.count > 1, words[1] == "0", let mapping { found.append(mapping) }
            } else {
                let isReadOnlyFile = words.count >= 6 && words[5].hasPrefix("/") && !words[1].contains("w")
                mapping = isReadOnlyFile && words[1].hasSuffix("p") ? range(name) : nil
            }
        }
        return found
    }

    private static func range(_ text: Substring) -> Range<UInt>? {
        let ends = text.split(separator: "-").compactMap { UInt($0, radix: 16) }
        return ends.count == 2 && ends[0] < ends[1] ? ends[0]..<ends[1] : nil
    }
}
