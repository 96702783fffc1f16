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

    func contains(_ id: UInt64) -> Bool { requests[id] != nil }

    mutating func take(_ id: UInt64) -> Request? { requests.removeValue(forKey: id) }

    mutating func expire(_ now: Instant, _ body: (ReplyAddress, _ deadline: Instant) -> Void) {
        while firstDeadline < deadlines.count, deadlines[firstDeadline].at <= now || requests[deadlines[firstDeadline].id] == nil
        {
            let (deadline, id) = deadlines[firstDeadline]
            if let late = requests.removeValue(forKey: id) { body(late.reply, deadline) }
            firstDeadline += 1
        }
        if firstDeadline > 4096, firstDeadline * 2 > deadlines.count {
            deadlines.removeFirst(firstDeadline)
            firstDeadline = 0
        }
    }
}
