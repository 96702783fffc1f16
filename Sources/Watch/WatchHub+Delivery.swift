import Bytes
import EtcdAPI
import MVCC

extension WatchHub {
    func deliverToSynced() throws(StoreError) {
        let from = position + 1
        if from < view.compactRevision {
            // Changes and the compaction that removed them became visible at once: nobody can be told of them any more.
            for watcher in streams.flatMap(\.orderedWatchers) where watcher.state == .synced {
                synced.remove(watcher)
                fallBehind(watcher, next: from)
            }
            position = newestRevision
            return
        }
        let reached = try scan(from: from) { key, body in synced.forEach(watching: key, body) }
        position = reached
        flush { watcher in
            // Its peer does not read: from here on it reads history by itself.
            synced.remove(watcher)
            fallBehind(watcher, next: from)
        }
    }

    private func fallBehind(_ watcher: Watcher, next: Int64) {
        watcher.state = .unsynced
        watcher.next = next
        unsynced.append(watcher)
    }

    func deliverToUnsynced() throws(StoreError) {
        cancelCompacted()
        let ready = unsynced.filter(isReady)
        promoteCaughtUp()
        guard let from = ready.map(\.next).min(), from <= position else { return }
        let reached = try scan(from: from, through: position) { key, body in
            for watcher in ready where watcher.range.contains(key) { body(watcher) }
        }
        var blocked: [ObjectIdentifier: Bool] = [:]
        flush { blocked[ObjectIdentifier($0)] = true }
        for watcher in ready where blocked[ObjectIdentifier(watcher)] == nil {
            watcher.next = max(watcher.next, reached + 1)
        }
        promoteCaughtUp()
    }

    /// Watchers whose next revision is the synced ones' next join them.
    func promoteCaughtUp() {
        for watcher in unsynced where watcher.next == position + 1 {
            watcher.state = .synced
            synced.insert(watcher)
        }
        unsynced.removeAll { $0.state == .synced }
    }

    /// History before the compact revision is gone; whoever still needs it is told, and starts anew.
    private func cancelCompacted() {
        for watcher in unsynced where watcher.next < view.compactRevision {
            guard watcher.stream.output.isWritable else { continue }
            forget(watcher)
            // etcd tells no revision here.
            respond(
                on: watcher.stream, id: watcher.id, revision: 0, canceled: true, compactRevision: view.compactRevision)
        }
    }

    /// Collects the events of a slice for the watchers that `find` names; returns the last revision wholly covered.
    private func scan(
        from: Int64, through limit: Int64? = nil,
        find: (UnsafeRawBufferPointer, (Watcher) -> Void) -> Void
    ) throws(StoreError) -> Int64 {
        events.removeAll()
        let through = limit ?? newestRevision
        var reader = try view.reader()
        var previous = try view.reader()
        var reached = through
        var changes = 0
        var current: Int64 = 0
        var failure: StoreError?
        try reader.forEachChange(from: from, through: through) { revision, tombstone, stored in
            if revision.main != current {
                // A slice ends between transactions only: all events of a revision belong together.
                if changes >= settings.sliceChanges || events.byteCount >= settings.sliceBytes {
                    reached = current
                    return false
                }
                current = revision.main
            }
            changes += 1
            do throws(StoreError) {
                try collect(revision, tombstone, stored, &previous, find)
            } catch {
                failure = error
                return false
            }
            return true
        }
        if let failure { throw failure }
        return reached
    }

    private func collect(
        _ revision: Revision, _ tombstone: Bool, _ stored: UnsafeRawBufferPointer, _ reader: inout Reader,
        _ find: (UnsafeRawBufferPointer, (Watcher) -> Void) -> Void
    ) throws(StoreError) {
        guard let row = try? StoredKeyValue(stored) else {
            throw .corrupt("the key-value at revision \(revision.main).\(revision.sub) cannot be decoded")
        }
        var event: Int?
        var needsPrevious = false
        find(row.key) { watcher in
            guard watcher.next <= revision.main, watcher.wants(deletion: tombstone) else { return }
            let place = event ?? events.append(stored: stored, key: row.key, deletedAt: tombstone ? revision.main : nil)
            event = place
            needsPrevious = needsPrevious || watcher.wantsPrevious
            if watcher.pending.isEmpty { touched.append(watcher) }
            watcher.pending.append(place)
        }
        let isCreation = !tombstone && row.createRevision == row.modRevision
        if let event, needsPrevious, !isCreation, revision.main - 1 >= view.compactRevision {
            events.addPrevious(
                event, stored: stored, key: row.key, deletedAt: tombstone ? revision.main : nil,
                previous: try reader.get(row.key, at: revision.main - 1))
        }
    }

    /// Sends every touched watcher its events; `onBlocked` takes those whose peer does not read.
    private func flush(onBlocked: (Watcher) -> Void) {
        watchersReached += touched.count
        for watcher in touched {
            if watcher.stream.output.isWritable {
                sendEvents(to: watcher)
                watcher.idleSinceTick = false
            } else {
                onBlocked(watcher)
            }
            watcher.pending.removeAll(keepingCapacity: watcher.pending.count <= 64)
        }
        touched.removeAll(keepingCapacity: true)
    }

    private func sendEvents(to watcher: Watcher) {
        var at = 0
        let pending = watcher.pending
        while at < pending.count {
            response.removeAll(keepingAtMost: 1 << 20)
            appendHeader(revision: newestRevision, id: watcher.id)
            let first = at
            let headLength = response.count
            var size = headLength
            while at < pending.count {
                let length = events.withEvent(pending[at], previous: watcher.wantsPrevious) { $0.count } + 6
                if watcher.fragments, at > first, size + length >= settings.fragmentBytes { break }
                size += length
                at += 1
            }
            response.field(7, at < pending.count)
            for event in pending[first..<at] {
                events.withEvent(event, previous: watcher.wantsPrevious) { response.required(11, $0) }
            }
            response.withBytes { watcher.stream.output.send($0) }
        }
        eventsSent += pending.count
    }
}
