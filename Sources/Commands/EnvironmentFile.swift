/// The variables of a file such as `/etc/default/etcd`, as systemd's `EnvironmentFile=` reads it: a later line wins, quotes around a
/// value go, lines that begin with `#` or `;` are comments.
struct EnvironmentFile {
    private(set) var variables: [String: String] = [:]

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let line = trimmed(line)
            guard let first = line.first, first != "#", first != ";", let equals = line.firstIndex(of: "=") else { continue }
            let name = String(trimmed(line[..<equals]))
            var value = trimmed(line[line.index(after: equals)...])
            if value.count >= 2, let quote = value.first, quote == "\"" || quote == "'", value.last == quote {
                value = value.dropFirst().dropLast()
            }
            variables[name] = String(value)
        }
    }

    /// The words of a value, as systemd splits `$NAME` on a command line.
    func words(_ name: String) -> [String] {
        variables[name]?.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init) ?? []
    }
}

private func trimmed(_ text: Substring) -> Substring {
    var text = text.drop { $0 == " " || $0 == "\t" || $0 == "\r" }
    while let last = text.last, last == " " || last == "\t" || last == "\r" { text = text.dropLast() }
    return text
}
