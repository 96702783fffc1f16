import Bytes
import EtcdAPI
import MVCC

extension WatchHub {
    /// The id in answers that speak of no single watcher.
    static let invalidID: Int64 = -1

    /// Handles one request of a stream; the answer to a creation precedes every event of the watcher.
    ///
    /// `refusal`: why the caller may not watch this, checked before.
    public func handle(_ request: WatchRequest, on stream: WatchStream, refusal: EtcdError? = nil) {
        switch request.requestUnion {
        case .createRequest(let create): self.create(create, on: stream, refusal: refusal)
        case .cancelRequest(let cancel): self.cancel(cancel.watchId, on: stream)
        case .progressRequest: if !stream.watchers.isEmpty { stream.progressRequested = true }
        case nil: break
        }
    }

    private func create(_ request: WatchCreateRequest, on stream: WatchStream, refusal: EtcdError?) {
        // An empty key means the smallest one.
        let range = KeyRange(key: request.key.isEmpty ? [0] : request.key, rangeEnd: request.rangeEnd)
        if let reason = refusal?.message ?? whyNot(request, range, stream) {
            respond(on: stream, id: WatchHub.invalidID, created: true, canceled: true, reason: reason)
            return
        }
        let id = request.watchId == 0 ? nextFreeID(stream) : request.watchId
        let newest = newestRevision
        let start = request.startRevision == 0 ? newest + 1 : request.startRevision
        let watcher = Watcher(id: id, request: request, range: range, next: start, stream: stream)
        stream.watchers[id] = watcher
        respond(on: stream, id: id, created: true)
        if start == newest + 1, position == newest {
            watcher.state = .synced
            synced.insert(watcher)
        } else {
            unsynced.append(watcher)
        }
    }

    private func whyNot(_ request: WatchCreateRequest, _ range: KeyRange, _ stream: WatchStream) -> String? {
        if request.startRevision < 0 { return "etcdserver: mvcc: required revision has been compacted" }
        if case .before(let end) = range.end, !range.first.lexicographicallyPrecedes(end) {
            return "mvcc: watcher range is empty"
        }
        if request.watchId != 0, stream.watchers[request.watchId] != nil {
            return "mvcc: duplicate watch ID provided on the WatchStream"
        }
        return nil
    }

    private func nextFreeID(_ stream: WatchStream) -> Int64 {
        while stream.watchers[stream.nextID] != nil { stream.nextID += 1 }
        defer { stream.nextID += 1 }
        return stream.nextID
    }

    private func cancel(_ id: Int64, on stream: WatchStream) {
        guard let watcher = stream.watchers[id] else { return }
        forget(watcher)
        respond(on: stream, id: id, canceled: true)
    }

    /// Called at the progress interval: watchers that asked for it and heard nothing since the last tick are told how far they are.
    public func progressTick() {
        for stream in streams where stream.output.isWritable {
            for watcher in stream.orderedWatchers where watcher.wantsProgress {
                if watcher.idleSinceTick, hasHeardAll(watcher), position == newestRevision {
                    respond(on: stream, id: watcher.id)
                }
                watcher.idleSinceTick = true
            }
        }
    }

    /// A stream's progress request is answered once all its watchers have been told everything up to the revision in the answer.
    func answerProgressRequests() {
        guard position == newestRevision else { return }
        for stream in streams where stream.progressRequested && stream.output.isWritable {
            guard stream.watchers.values.allSatisfy({ hasHeardAll($0) }) else { continue }
            stream.progressRequested = false
            if !stream.watchers.isEmpty { respond(on: stream, id: WatchHub.invalidID) }
        }
    }

    /// A watcher whose start is in the future is no such one: told of a revision before its start, a client would resume there.
    private func hasHeardAll(_ watcher: Watcher) -> Bool { watcher.state == .synced }

    func respond(
        on stream: WatchStream, id: Int64, revision: Int64? = nil, created: Bool = false, canceled: Bool = false,
        compactRevision: Int64 = 0,
        reason: String = ""
    ) {
        response.removeAll(keepingAtMost: 1 << 20)
        appendHeader(revision: revision ?? newestRevision, id: id)
        response.field(3, created)
        response.field(4, canceled)
        response.field(5, compactRevision)
        response.field(6, reason)
        response.withBytes { stream.output.send($0) }
    }

    func appendHeader(revision: Int64, id: Int64) {
        header.revision = revision
        response.message(1) { header.encode(into: &$0) }
        response.field(2, id)
    }
}
