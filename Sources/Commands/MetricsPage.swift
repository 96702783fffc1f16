/// The samples of a Prometheus page.
struct MetricsPage {
    /// Name, labels as written, value.
    private let samples: [(name: Substring, labels: Substring, value: Double)]

    init(_ text: String) {
        samples = text.split(separator: "\n").compactMap { line in
            guard line.first != "#", let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...])
            else {
                return nil
            }
            let series = line[..<space]
            guard let brace = series.firstIndex(of: "{") else { return (series, "", value) }
            return (series[..<brace], series[series.index(after: brace)...].dropLast(), value)
        }
    }

    func value(_ name: String) -> Double? { samples.first { $0.name == name }?.value }

    /// The values of one label, with the sample's value.
    func values(_ name: String, label: String) -> [(label: String, value: Double)] {
        samples.filter { $0.name == name }.compactMap { sample in
            let mark = "\(label)=\""
            guard let start = sample.labels.range(of: mark) else { return nil }
            return (String(sample.labels[start...].prefix { $0 != "\"" }), sample.value)
        }
    }
}

extension Substring {
    /// Where the text after a mark begins.
    fileprivate func range(of mark: String) -> Index? {
        var at = startIndex
        while at < endIndex {
            if self[at...].hasPrefix(mark) { return index(at, offsetBy: mark.count) }
            at = index(after: at)
        }
        return nil
    }
}
