import Host
import Raft

extension PeerLinks {
    /// The ways to a peer.
    enum Path: Equatable { case stream(StreamKind), pipeline }

    /// Appends on the stream of their own, so that they hold up nothing else, then the other stream, then requests.
    func path(of message: Message) -> Path {
        if message.kind == .append, writers[StreamKind.append.rawValue].attached != nil { return .stream(.append) }
        if writers[StreamKind.message.rawValue].attached != nil { return .stream(.message) }
        return .pipeline
    }

    /// Puts messages where they will leave. Streams are emptied with ``takeWrites(_:limit:)``.
    public mutating func send(_ messages: [Message], now: Instant, _ effects: inout [LinkEffect]) {
        var dropped = 0
        for message in messages {
            let hasRoom =
                switch path(of: message) {
                case .stream(let kind): writers[kind.rawValue].queue.append(message)
                case .pipeline: pipeline.append(message)
                }
            if !hasRoom { dropped += 1 }
        }
        if dropped > 0 { effects += [.dropped(dropped), .unreachable] }
        postNext(&effects)
    }

    // MARK: Streams to write to

    /// The peer opened a stream. One of the same kind before it is closed: the peer has given it up.
    ///
    /// - Parameter stream: the shell's number for it.
    public mutating func attached(_ kind: StreamKind, stream: UInt64, now: Instant, _ effects: inout [LinkEffect]) {
        if let old = writers[kind.rawValue].attached {
            effects.append(.closeWriter(kind, stream: old.stream))
            discardQueue(kind, &effects)
        }
        writers[kind.rawValue].attached = StreamWriter.Attached(stream: stream, lastWrite: now)
        activate(now: now, &effects)
        // It is there again.
        redialSoon(now: now)
    }

    /// Messages for a stream that takes some, of about `limit` bytes; nil when there are none or it takes none.
    public mutating func takeWrites(_ kind: StreamKind, limit: Int) -> (stream: UInt64, messages: [Message])? {
        guard let attached = writers[kind.rawValue].attached, attached.blockedSince == nil else { return nil }
        let messages = writers[kind.rawValue].queue.take(upTo: limit)
        return messages.isEmpty ? nil : (attached.stream, messages)
    }

    /// Something was written; `isWritable` tells whether the stream takes more.
    public mutating func wrote(_ kind: StreamKind, stream: UInt64, isWritable: Bool, now: Instant) {
        guard writers[kind.rawValue].attached?.stream == stream else { return }
        writers[kind.rawValue].attached?.lastWrite = now
        if isWritable {
            writers[kind.rawValue].attached?.blockedSince = nil
        } else if writers[kind.rawValue].attached?.blockedSince == nil {
            writers[kind.rawValue].attached?.blockedSince = now
        }
    }

    /// The stream takes more again.
    public mutating func becameWritable(_ kind: StreamKind, stream: UInt64) {
        guard writers[kind.rawValue].attached?.stream == stream else { return }
        writers[kind.rawValue].attached?.blockedSince = nil
    }

    /// The connection under a stream that is written to has ended.
    public mutating func writerLost(
        _ kind: StreamKind, stream: UInt64, reason: String, now: Instant, _ effects: inout [LinkEffect]
    ) {
        guard writers[kind.rawValue].attached?.stream == stream else { return }
        writers[kind.rawValue].attached = nil
        discardQueue(kind, &effects)
        deactivate("failed to write \(kind.title): \(reason)", &effects)
    }

    /// What waited for a stream goes with it, and what was under way may be lost too.
    private mutating func discardQueue(_ kind: StreamKind, _ effects: inout [LinkEffect]) {
        let waiting = writers[kind.rawValue].queue.count
        if waiting > 0 { effects.append(.dropped(waiting)) }
        writers[kind.rawValue].queue.removeAll()
        effects.append(.unreachable)
    }

    mutating func advanceWriter(_ kind: StreamKind, to now: Instant, _ effects: inout [LinkEffect]) {
        guard let due = writers[kind.rawValue].nextWake(limits), due <= now, let attached = writers[kind.rawValue].attached else {
            return
        }
        if attached.blockedSince != nil {
            effects.append(.closeWriter(kind, stream: attached.stream, lost: LinkLimits.timedOut))
            writerLost(kind, stream: attached.stream, reason: LinkLimits.timedOut, now: now, &effects)
        } else {
            writers[kind.rawValue].attached?.lastWrite = now
            effects.append(.heartbeat(kind, stream: attached.stream))
        }
    }

    // MARK: Requests

    private mutating func postNext(_ effects: inout [LinkEffect]) {
        while posts.count < limits.pipelineConnections, let url = picker.current, let message = pipeline.take() {
            let number = nextNumber()
            posts.append((number, url))
            effects.append(.post(message, number: number, url: url))
        }
    }

    /// A message sent with a request of its own has arrived, or not.
    public mutating func posted(_ number: UInt64, failure: PeerFailure?, now: Instant, _ effects: inout [LinkEffect]) {
        guard let position = posts.firstIndex(where: { $0.number == number }) else { return }
        let url = posts.remove(at: position).url
        if let failure {
            noteFailure(failure, of: url, "failed to write pipeline", &effects)
            effects.append(.unreachable)
        } else {
            activate(now: now, &effects)
        }
        postNext(&effects)
    }
}
