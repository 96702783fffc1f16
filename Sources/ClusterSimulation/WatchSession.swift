import EtcdAPI
import Host
import MVCC
import Raft
import Watch

/// A client that watches, whatever becomes of the members it watches at, and holds what it is told against the model: events in
/// order, each once, none missing, all of one revision together, and never told to be further than it is.
final class WatchSession: WatchOutput {
    let number: Int
    let request: WatchCreateRequest
    private unowned let checker: LogChecker
    /// The next revision it has not been told of, as a client would resume from.
    private(set) var next: Int64?
    var isWritable = true
    private(set) var at: MemberID?
    private(set) var life = 0
    private var stream: WatchStream?
    /// Its watch ended; it has to create another.
    private(set) var isCancelled = false
    private(set) var failure: Violation?
    private(set) var eventCount = 0
    private(set) var compactions = 0
    private var mods: Int64 = 0
    /// A mistake to be made on purpose.
    private let bug: SeededBug?
    /// Where a bug has it go on instead of where it stands.
    private var wrongNext: Int64?

    private let isProxied: Bool

    init(number: Int, request: WatchCreateRequest, checker: LogChecker, bug: SeededBug?, isProxied: Bool = false) {
        self.bug = bug
        self.isProxied = isProxied
        self.number = number
        self.request = request
        self.checker = checker
    }

    /// Watches at a member from where it stands; leaves the one it watched at.
    func attach(to member: SimulatedMember) {
        guard let process = member.process else { return }
        at = member.id
        life = member.life
        isCancelled = false
        let hub = process.hub
        hub.advance(to: process.published.view, term: process.published.status.term)
        let stream = hub.open(self)
        self.stream = stream
        var create = nextRequest
        if let wrongNext { create.startRevision = wrongNext }
        if bug == .repeatedWatchEvents, let next, next > 1 { create.startRevision = next - 1 }
        wrongNext = nil
        hub.handle(WatchRequest(requestUnion: .createRequest(create)), on: stream)
        begin(at: process.published.view.currentRevision)
    }

    /// What it asks for from where it stands.
    var nextRequest: WatchCreateRequest {
        var create = request
        create.startRevision = next ?? request.startRevision
        return create
    }

    /// It was created, at a member or proxy whose store is at `revision`.
    func begin(at revision: Int64) {
        if next == nil { next = request.startRevision > 0 ? request.startRevision : revision + 1 }
    }

    func detach(from member: SimulatedMember?) {
        if let stream, let member, member.id == at, member.life == life { member.process?.hub.close(stream) }
        stream = nil
        at = nil
    }

    func requestProgress(at member: SimulatedMember) {
        guard let stream, member.id == at, member.life == life, let process = member.process else { return }
        process.hub.handle(WatchRequest(requestUnion: .progressRequest(WatchProgressRequest())), on: stream)
    }

    /// A progress notification as a hub would send it that does not look at what is outstanding.
    func tellProgress(_ revision: Int64) {
        guard failure == nil, stream != nil else { return }
        do { try take(WatchResponse(header: ResponseHeader(revision: revision))) } catch {
            failure = error as? Violation
        }
    }

    func send(_ encoded: UnsafeRawBufferPointer) {
        guard failure == nil else { return }
        do {
            let response = try WatchResponse(decoding: encoded)
            try take(response)
        } catch let violation as Violation {
            failure = violation
        } catch {
            failure = Violation("watch", "session \(number): \(error)")
        }
    }

    private func fail(_ text: String) -> Violation {
        Violation("watch", "session \(number) at m\(at ?? 0), next \(next ?? 0): \(text)")
    }

    private func take(_ response: WatchResponse) throws {
        if response.created {
            if response.canceled { throw fail("refused: \(response.cancelReason)") }
            return
        }
        if response.canceled {
            // A proxy resumes a watch from what it is sure its client knows, which may be less than the client does.
            guard response.compactRevision > (isProxied ? 0 : next ?? 0) else { throw fail("ended: \(response)") }
            compactions += 1
            if bug == .lostWatchEvents {
                wrongNext = response.compactRevision
            } else {
                next = max(next ?? 0, response.compactRevision)
            }
            isCancelled = true
            return
        }
        let revision = response.header?.revision ?? 0
        guard !response.events.isEmpty else {
            guard expected(upTo: revision).isEmpty else { throw fail("told to be at \(revision), with events outstanding") }
            next = max(next ?? 0, revision + 1)
            return
        }
        try takeEvents(response, revision)
    }

    private func takeEvents(_ response: WatchResponse, _ revision: Int64) throws {
        let last = response.events.last?.kv?.modRevision ?? 0
        guard last <= revision else { throw fail("an event at \(last) in an answer at \(revision)") }
        let due = expected(upTo: last)
        guard due.count == response.events.count else {
            let wanted = due.map { "\($0.revision)" }
            throw fail("events at \(summary(response)), where those at \(wanted) are due")
        }
        for (event, change) in zip(response.events, due) {
            guard (event.type == .delete) == change.isDeletion, event.kv == change.value else {
                throw fail("\(event) where \(change.value) was due")
            }
            if request.prevKv { try comparePrevious(event, change) }
        }
        eventCount += due.count
        next = last + 1
    }

    private func comparePrevious(_ event: Event, _ change: StoreModel.Change) throws {
        if event.prevKv == change.previous { return }
        // What a compaction has removed since cannot be told.
        guard event.prevKv == nil, change.revision - 1 < checker.model.compactRevision else {
            let (due, told) = (String(describing: change.previous), String(describing: event.prevKv))
            throw fail("before \(change.value) there was \(due), not \(told)")
        }
    }

    private func summary(_ response: WatchResponse) -> [String] { response.events.map { "\($0.kv?.modRevision ?? 0)" } }

    /// What it has to be told of up to a revision.
    func expected(upTo revision: Int64) -> [StoreModel.Change] {
        guard let next else { return [] }
        var found: [StoreModel.Change] = []
        let changes = checker.model.changes
        var position = checker.model.firstChange(from: next)
        while position < changes.count, changes[position].revision <= revision {
            let change = changes[position]
            if StoreModel.isInside(change.value.key, request.key, request.rangeEnd), wants(change) { found.append(change) }
            position += 1
        }
        return found
    }

    private func wants(_ change: StoreModel.Change) -> Bool {
        !request.filters.contains(change.isDeletion ? .nodelete : .noput)
    }
}
