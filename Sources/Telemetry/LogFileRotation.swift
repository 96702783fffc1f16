import Glibc

/// Rotation of a log file by size, with limits on what is kept: the scheme and names of lumberjack, the library that etcd uses.
public struct LogFileRotation: Sendable, Equatable {
    /// A line that would make the file larger than this goes into a new one.
    public var maximumBytes: UInt64
    /// Rotated files that are kept; 0 for all.
    public var maximumBackups: Int
    /// Days that rotated files are kept; 0 for all.
    public var maximumAgeDays: Int

    public init(maximumBytes: UInt64, maximumBackups: Int, maximumAgeDays: Int) {
        self.maximumBytes = maximumBytes
        self.maximumBackups = maximumBackups
        self.maximumAgeDays = maximumAgeDays
    }

    /// `/var/log/etcd.log` becomes `/var/log/etcd-2026-11-21T04-20-33.123.log`, in UTC.
    func backupPath(of path: String, at time: WallTime) -> String {
        let (directory, stem, suffix) = Self.parts(of: path)
        return directory + stem + "-" + Self.stamp(time) + suffix
    }

    /// Removes the backups of `path` beyond the limits. The stamp in the name tells the age, so that copying a backup does not
    /// change it.
    func removeOldBackups(of path: String, at time: WallTime) {
        guard maximumBackups > 0 || maximumAgeDays > 0 else { return }
        let (directory, stem, suffix) = Self.parts(of: path)
        let stampLength = Self.stamp(time).utf8.count
        let backups = Self.names(in: directory).filter { name in
            name.hasPrefix(stem + "-") && name.hasSuffix(suffix)
                && name.utf8.count == stem.utf8.count + 1 + stampLength + suffix.utf8.count
        }.sorted(by: >)
        let oldest = Self.stamp(WallTime(seconds: time.seconds - Int64(maximumAgeDays) * 86_400, nanoseconds: time.nanoseconds))
        for (index, name) in backups.enumerated() {
            let stamp = name.dropFirst(stem.count + 1).prefix(stampLength)
            if (maximumBackups > 0 && index >= maximumBackups) || (maximumAgeDays > 0 && stamp < oldest) {
                unlink(directory + name)
            }
        }
    }

    /// `2026-11-21T04-20-33.123`; as text it sorts by time.
    private static func stamp(_ time: WallTime) -> String {
        func padded(_ value: Int64, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        let (year, month, day) = time.date
        let date = [padded(year, 4), padded(month, 2), padded(day, 2)].joined(separator: "-")
        let second = time.secondOfDay
        let clock = [padded(second / 3_600, 2), padded(second / 60 % 60, 2), padded(second % 60, 2)].joined(separator: "-")
        return "\(date)T\(clock).\(padded(Int64(time.nanoseconds / 1_000_000), 3))"
    }

    /// Directory with its slash, file name up to its last dot, the rest with the dot.
    private static func parts(of path: String) -> (directory: String, stem: String, suffix: String) {
        let name = path.split(separator: "/", omittingEmptySubsequences: false).last.map { String($0) } ?? path
        let directory = String(path.dropLast(name.count))
        guard let dot = name.lastIndex(of: ".") else { return (directory, name, "") }
        return (directory, String(name[..<dot]), String(name[dot...]))
    }

    private static func names(in directory: String) -> [String] {
        guard let handle = opendir(directory.isEmpty ? "." : directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            // The name is a C string inside the entry, valid until the next call of readdir.
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) {
                    String(cString: $0)
                }
            }
            names.append(name)
        }
        return names
    }
}
