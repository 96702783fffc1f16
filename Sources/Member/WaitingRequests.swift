import Host

/// Requests that wait for their entry to be applied, by request id, with the time by which they are answered anyway.
struct WaitingRequests {
    struct Request {
        let reply: ReplyAddress
        let afterCompaction: Bool
    }

    private var requests: [UInt64: Request] = [:]
    /// In order of deadline, as every request waits equally long; ids already answered stay until their time comes.
    private var deadlines: [(at: Instant, id: UInt64)] = []
    private var firstDeadline = 0

    var count: Int { requests.count }
    var nextDeadline: Instant? { firstDeadline < deadlines.count ? deadlines[firstDeadline].at : nil }

    mutating func add(_ id: UInt64, _ request: Request, deadline: Instant) {
        requests[id] = request
        deadlines.append((deadline, id))
    }

    mutating func take(_ id: UInt64) -> Request? { requests.removeValue(forKey: id) }

    mutating func takeAll() -> [ReplyAddress] {
        let all = requests.sorted { $0.key < $1.key }.map(\.value.reply)
        requests.removeAll()
        return all
    }

    mutating func expire(_ now: Instant, _ body: (ReplyAddress) -> Void) {
        while firstDeadline < deadlines.count, deadlines[firstDeadline].at <= now || requests[deadlines[firstDeadline].id] == nil
        {
            if let late = requests.removeValue(forKey: deadlines[firstDeadline].id) { body(late.reply) }
            firstDeadline += 1
        }
        if firstDeadline > 4096, firstDeadline * 2 > deadlines.count {
            deadlines.removeFirst(firstDeadline)
            firstDeadline = 0
        }
    }
}
