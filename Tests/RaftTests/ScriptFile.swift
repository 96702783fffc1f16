import Glibc

/// A script: `> command` lines, each followed by the transcript it must produce, indented by two. `#` and empty lines are prose.
struct ScriptFile {
    let path: String
    let lines: [String]

    struct Unreadable: Error {
        let path: String
        let code: Int32
    }

    init(path: String) throws(Unreadable) {
        self.path = path
        guard let file = fopen(path, "r") else { throw Unreadable(path: path, code: errno) }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// The script as it would read if what it does were right.
    func rewritten(_ run: (String) throws -> [String]) rethrows -> [String] {
        var result: [String] = []
        for line in lines where !line.hasPrefix("  ") {
            result.append(line)
            if line.hasPrefix("> ") { result += try run(String(line.dropFirst(2))).map { "  " + $0 } }
        }
        return result
    }

    func write(_ lines: [String]) throws(Unreadable) {
        guard let file = fopen(path, "w") else { throw Unreadable(path: path, code: errno) }
        fputs(lines.joined(separator: "\n"), file)
        fclose(file)
    }

    /// The scripts beside the tests, sorted by name.
    static func all(besides source: String = #filePath) throws(Unreadable) -> [String] {
        let folder = source.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/Scripts"
        guard let directory = opendir(folder) else { throw Unreadable(path: folder, code: errno) }
        defer { closedir(directory) }
        var paths: [String] = []
        while let item = readdir(directory) {
            let name = withUnsafeBytes(of: item.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name.hasSuffix(".script") { paths.append(folder + "/" + name) }
        }
        return paths.sorted()
    }
}
