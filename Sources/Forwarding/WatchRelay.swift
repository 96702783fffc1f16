import Bytes
import EtcdAPI

/// One watch stream through the proxy: what its client watches and how far it has been told, so that the watches can go on at another
/// member with no event lost, repeated or out of order.
///
/// Messages are handed in framed (prefix included) and leave framed, in the two writers. A client's auto-assigned watch ids are those
/// that the first member gave; on a later member every watch asks for its id by name, and later auto-assigned ones are named by this
/// relay. Id 0 cannot be asked for, so that watch is created first: members count from 0.
public struct WatchRelay {
    public enum Problem: Error, Equatable, Sendable {
        /// The member's answers do not go with what was asked: nothing can be promised any more.
        case outOfStep(String)
    }

    /// More watches than this on one stream are forwarded, but not resumed.
    public static let maximumWatches = 65_536

    private struct Watch {
        /// As the client asked, but for the id.
        var request: WatchCreateRequest
        /// The first revision that the client has not been told of.
        var next: Int64
        /// When it was created, for the order of resumption.
        var order: Int
        /// Revision of the last progress notification. Members before etcd 3.5.8 could notify ahead of events, so it counts only once
        /// another one has followed.
        var progress: Int64 = 0
        /// The client has begun to receive a response in pieces.
        var isInPieces = false
        var isCancelling = false
        var isResumed = false
    }

    private struct Creation {
        var request: WatchCreateRequest
        /// The watch that is created again; nil if the client waits for the answer.
        var resumes: Int64?
        var cancelAsked = false
    }

    private var watches: [Int64: Watch] = [:]
    /// Asked of the member and not answered, oldest first: members answer in order.
    private var creations: [Creation] = []
    private var nextOrder = 0
    /// Once a stream has moved, ids are no longer left to the member.
    private var hasMoved = false
    private var largestID: Int64 = -1
    private var progressAsked = 0
    private var ownProgressAsked = false
    /// The last header seen, for answers that no member gives any more.
    private var lastHeader = ResponseHeader()
    /// False when something passed that cannot be followed: the stream has to end when its member does.
    public private(set) var isResumable = true

    public init() {}

    public var watchCount: Int { watches.count }

    // MARK: From the client

    /// Takes one message of the client.
    public mutating func fromClient(_ message: UnsafeRawBufferPointer, toMember: inout ByteWriter) {
        guard isResumable, let request = try? WatchRequest(decoding: message.withoutPrefix) else {
            // The member will refuse what cannot be read.
            isResumable = false
            toMember.append(message)
            return
        }
        switch request.requestUnion {
        case .createRequest(let create): self.create(create, message, &toMember)
        case .cancelRequest(let cancel):
            watches[cancel.watchId]?.isCancelling = true
            if cancel.watchId != 0,
                let at = creations.firstIndex(where: { $0.resumes == nil && $0.request.watchId == cancel.watchId })
            {
                creations[at].cancelAsked = true
            }
            toMember.append(message)
        case .progressRequest:
            progressAsked += 1
            toMember.append(message)
        case nil: toMember.append(message)
        }
    }

    private mutating func create(
        _ create: WatchCreateRequest, _ message: UnsafeRawBufferPointer, _ toMember: inout ByteWriter
    ) {
        guard watches.count + creations.count < Self.maximumWatches, create.watchId >= 0 else {
            isResumable = false
            toMember.append(message)
            return
        }
        var create = create
        if hasMoved, create.watchId == 0 {
            create.watchId = unusedID()
            append(create, to: &toMember)
        } else {
            toMember.append(message)
        }
        if create.watchId > 0 { largestID = max(largestID, create.watchId) }
        creations.append(Creation(request: create))
    }

    /// Larger than every id so far, if there is one: an id that a client has seen cancelled is not given again.
    private func unusedID() -> Int64 {
        var id = max(0, largestID &+ 1)
        while watches[id] != nil { id += 1 }
        return id
    }

    // MARK: From the member

    /// Takes one message of the member.
    public mutating func fromMember(_ message: UnsafeRawBufferPointer, toClient: inout ByteWriter) throws(Problem) {
        guard isResumable else {
            toClient.append(message)
            return
        }
        let summary: WatchResponseSummary
        do {
            summary = try WatchResponseSummary(message.withoutPrefix)
        } catch {
            throw .outOfStep("a watch response that cannot be read: \(error)")
        }
        if summary.created {
            try created(summary, message, &toClient)
        } else if summary.canceled {
            watches[summary.watchID] = nil
            toClient.append(message)
        } else if let revisions = summary.revisions {
            try events(summary, revisions)
            toClient.append(message)
        } else if progress(summary) {
            toClient.append(message)
        }
    }

    private mutating func created(
        _ summary: WatchResponseSummary, _ message: UnsafeRawBufferPointer, _ toClient: inout ByteWriter
    ) throws(Problem) {
        guard let creation = creations.first else { throw .outOfStep("a watch was created that nobody asked for") }
        creations.removeFirst()
        noteHeader(message)
        if summary.canceled {
            guard let id = creation.resumes else { return toClient.append(message) }
            // The client has had its "created" long ago: for it this watch ends now.
            watches[id] = nil
            guard var response = try? WatchResponse(decoding: message.withoutPrefix) else {
                throw .outOfStep("a watch response that cannot be read")
            }
            response.created = false
            response.watchId = id
            return append(response, to: &toClient)
        }
        if let id = creation.resumes {
            guard summary.watchID == id else { throw .outOfStep("watch \(id) became \(summary.watchID)") }
            return
        }
        guard creation.request.watchId == 0 || creation.request.watchId == summary.watchID, watches[summary.watchID] == nil else {
            throw .outOfStep("watch \(creation.request.watchId) became \(summary.watchID)")
        }
        let start = creation.request.startRevision
        var watch = Watch(request: creation.request, next: start > 0 ? start : summary.revision &+ 1, order: nextOrder)
        watch.request.watchId = summary.watchID
        watch.isCancelling = creation.cancelAsked
        watches[summary.watchID] = watch
        nextOrder += 1
        largestID = max(largestID, summary.watchID)
        toClient.append(message)
    }

    private mutating func events(_ summary: WatchResponseSummary, _ revisions: (first: Int64, last: Int64)) throws(Problem) {
        guard let index = watches.index(forKey: summary.watchID) else { return }
        let watch = watches.values[index]
        let next = watch.next
        // Nobody is told of what was before the watch began, or of what it has been told already.
        let earliest = watch.isResumed ? next : watch.request.startRevision
        if revisions.first < earliest, !watch.isInPieces {
            throw .outOfStep(
                "watch \(summary.watchID) was told of revision \(revisions.first), where \(earliest) is the earliest")
        }
        watches.values[index].isInPieces = summary.fragment
        // Of a response in pieces the rest may hold more events of its last revision.
        if !summary.fragment { watches.values[index].next = max(next, revisions.last &+ 1) }
    }

    /// Whether the client is to be told.
    private mutating func progress(_ summary: WatchResponseSummary) -> Bool {
        if summary.watchID >= 0 {
            advance(summary.watchID, to: summary.revision)
            return true
        }
        for id in watches.keys { advance(id, to: summary.revision) }
        defer {
            ownProgressAsked = false
            progressAsked = max(0, progressAsked - 1)
        }
        return !ownProgressAsked || progressAsked > 0
    }

    private mutating func advance(_ id: Int64, to revision: Int64) {
        guard let index = watches.index(forKey: id), !watches.values[index].isInPieces else { return }
        watches.values[index].next = max(watches.values[index].next, watches.values[index].progress &+ 1)
        watches.values[index].progress = max(watches.values[index].progress, revision)
    }

    private mutating func noteHeader(_ message: UnsafeRawBufferPointer) {
        if let response = try? WatchResponse(decoding: message.withoutPrefix), let header = response.header {
            lastHeader = header
        }
    }

    // MARK: Between members

    /// Asks the member how far the watches are, so that they are resumed from there and not from where compaction has been long since.
    public mutating func askProgress(toMember: inout ByteWriter) {
        guard isResumable, !watches.isEmpty, !ownProgressAsked else { return }
        ownProgressAsked = true
        append(WatchRequest(requestUnion: .progressRequest(WatchProgressRequest())), to: &toMember)
    }

    /// Whether the watches can go on at another member; otherwise the stream has to end, and its client resumes by itself.
    public var canMove: Bool { isResumable && !watches.values.contains(where: \.isInPieces) }

    /// A new member takes over: everything it has to be told for the stream to go on there. Watches that the client had cancelled are
    /// answered here. Of a stream's first member nothing is lost, so this says nothing then.
    public mutating func moveOn(toMember: inout ByteWriter, toClient: inout ByteWriter) {
        ownProgressAsked = false
        guard !watches.isEmpty || !creations.isEmpty || progressAsked > 0 else { return }
        hasMoved = true
        for (id, watch) in ordered() where watch.isCancelling {
            watches[id] = nil
            append(WatchResponse(header: lastHeader, watchId: id, canceled: true), to: &toClient)
        }
        createAgain(&toMember)
    }

    private mutating func createAgain(_ toMember: inout ByteWriter) {
        let waiting = creations.filter { $0.resumes == nil }
        creations.removeAll()
        var watches = ordered()
        if let zero = watches.firstIndex(where: { $0.0 == 0 }) { watches.insert(watches.remove(at: zero), at: 0) }
        for (id, watch) in watches {
            var request = watch.request
            request.startRevision = watch.next
            request.watchId = id
            self.watches[id]?.isResumed = true
            creations.append(Creation(request: request, resumes: id))
            append(request, to: &toMember)
        }
        for var creation in waiting {
            if creation.request.watchId == 0, largestID >= 0 {
                creation.request.watchId = unusedID()
                largestID = creation.request.watchId
            }
            creations.append(creation)
            append(creation.request, to: &toMember)
            if creation.cancelAsked {
                let cancel = WatchCancelRequest(watchId: creation.request.watchId)
                append(WatchRequest(requestUnion: .cancelRequest(cancel)), to: &toMember)
            }
        }
        if progressAsked > 0 { append(WatchRequest(requestUnion: .progressRequest(WatchProgressRequest())), to: &toMember) }
    }

    private func ordered() -> [(Int64, Watch)] {
        watches.sorted { $0.value.order < $1.value.order }.map { ($0.key, $0.value) }
    }

    // MARK: Encoding

    private func append(_ create: WatchCreateRequest, to writer: inout ByteWriter) {
        append(WatchRequest(requestUnion: .createRequest(create)), to: &writer)
    }

    private func append(_ message: some Message, to writer: inout ByteWriter) {
        let encoded = message.encoded()
        appendMessagePrefix(encoded.count, to: &writer)
        writer.append(encoded)
    }
}

extension UnsafeRawBufferPointer {
    /// A framed message without its prefix.
    var withoutPrefix: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: dropFirst(MessageSplitter.prefixSize)) }
}
