/// One SRV record (RFC 2782): a host and port that offer a service.
public struct ServiceRecord: Hashable, Sendable {
    /// Lower ones are to be tried first.
    public let priority: UInt16
    /// Of two with the same priority the heavier one is to be tried first more often.
    public let weight: UInt16
    public let port: UInt16
    /// Host name without the dot at its end.
    public let target: String

    public init(priority: UInt16 = 0, weight: UInt16 = 0, port: UInt16, target: String) {
        self.priority = priority
        self.weight = weight
        self.port = port
        self.target = target
    }
}

extension [ServiceRecord] {
    /// By priority; those of one priority drawn in turn, each with a chance in proportion to its weight. What a server answered in
    /// another order gives the same result with the same random numbers.
    public func ordered(using random: inout some RandomNumberGenerator) -> [ServiceRecord] {
        var waiting = sorted { $0.sortKey < $1.sortKey }[...]
        var result: [ServiceRecord] = []
        while let priority = waiting.first?.priority {
            var group = Array(waiting.prefix { $0.priority == priority })
            waiting = waiting.dropFirst(group.count)
            while !group.isEmpty { result.append(group.remove(at: group.drawIndex(using: &random))) }
        }
        return result
    }

    private func drawIndex(using random: inout some RandomNumberGenerator) -> Int {
        let total = reduce(0) { $0 + Int($1.weight) }
        guard total > 0 else { return 0 }
        var left = Int.random(in: 0..<total, using: &random)
        return firstIndex { record in
            left -= Int(record.weight)
            return left < 0
        }!
    }
}

extension ServiceRecord {
    fileprivate var sortKey: (UInt16, UInt16, String, UInt16) { (priority, weight, target, port) }
}
