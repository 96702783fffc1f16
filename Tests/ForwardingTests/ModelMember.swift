import Bytes
import EtcdAPI

@testable import Forwarding

/// One stream of a member that watches a history all members share: event n has revision n + 1 and touches key n % keys.
struct ModelMember {
    struct Watch {
        var key: UInt8
        var next: Int64
        var progressNotify: Bool
    }

    static let keys: Int64 = 4
    /// The last revision this member has applied; it may lag behind others.
    var revision: Int64
    /// What has been compacted away: history begins after it.
    var compacted: Int64 = 0
    private(set) var watches: [Int64: Watch] = [:]
    private var nextID: Int64 = 0
    /// Responses on their way, oldest first.
    var outgoing: [WatchResponse] = []
    private(set) var requests: [WatchRequest] = []

    init(revision: Int64, compacted: Int64 = 0) {
        self.revision = revision
        self.compacted = compacted
    }

    private var header: ResponseHeader { ResponseHeader(clusterId: 1, memberId: 2, revision: revision, raftTerm: 3) }

    mutating func receive(_ request: WatchRequest) {
        requests.append(request)
        switch request.requestUnion {
        case .createRequest(let create): self.create(create)
        case .cancelRequest(let cancel):
            if watches.removeValue(forKey: cancel.watchId) != nil {
                outgoing.append(WatchResponse(header: header, watchId: cancel.watchId, canceled: true))
            }
        case .progressRequest: outgoing.append(WatchResponse(header: header, watchId: -1))
        case nil: break
        }
    }

    private mutating func create(_ create: WatchCreateRequest) {
        var id = create.watchId
        if id == 0 {
            while watches[nextID] != nil { nextID += 1 }
            id = nextID
            nextID += 1
        } else if watches[id] != nil {
            outgoing.append(
                WatchResponse(header: header, watchId: -1, created: true, canceled: true, cancelReason: "duplicate"))
            return
        }
        let next = create.startRevision > 0 ? create.startRevision : revision + 1
        outgoing.append(WatchResponse(header: header, watchId: id, created: true))
        if next <= compacted {
            outgoing.append(WatchResponse(header: header, watchId: id, canceled: true, compactRevision: compacted))
            return
        }
        watches[id] = Watch(key: create.key[0], next: next, progressNotify: create.progressNotify)
    }

    static func event(at revision: Int64) -> Event {
        Event(
            type: .put,
            kv: KeyValue(key: [UInt8(revision % keys)], createRevision: 1, modRevision: revision, version: 1, value: []))
    }

    /// Tells every watch of up to `limit` events.
    mutating func deliver(limit: Int, pieces: Bool = false) {
        for id in watches.keys.sorted() {
            guard var watch = watches[id] else { continue }
            var events: [Event] = []
            while watch.next <= revision, events.count < limit {
                if watch.next % Self.keys == Int64(watch.key) { events.append(Self.event(at: watch.next)) }
                watch.next += 1
            }
            watches[id] = watch
            guard !events.isEmpty else { continue }
            if pieces, events.count > 1 {
                outgoing.append(WatchResponse(header: header, watchId: id, fragment: true, events: Array(events.dropLast())))
                outgoing.append(WatchResponse(header: header, watchId: id, events: [events[events.count - 1]]))
            } else {
                outgoing.append(WatchResponse(header: header, watchId: id, events: events))
            }
        }
    }

    mutating func notifyProgress() {
        for id in watches.keys.sorted() where watches[id]!.next > revision {
            outgoing.append(WatchResponse(header: header, watchId: id))
        }
    }
}

/// A relay between a client that the test plays and members that come and go.
struct RelayHarness {
    var relay = WatchRelay()
    var member: ModelMember
    /// What the client has been told.
    var told: [WatchResponse] = []

    init(_ member: ModelMember) { self.member = member }

    private static func framed(_ message: some Message) -> [UInt8] {
        let encoded = message.encoded()
        return [0] + withUnsafeBytes(of: UInt32(encoded.count).bigEndian) { Array($0) } + encoded
    }

    private static func messages<M: Message>(_ bytes: [UInt8], _: M.Type) throws -> [M] {
        var splitter = MessageSplitter(limit: 1 << 20)
        var whole: [[UInt8]] = []
        try bytes.withUnsafeBytes { try splitter.take($0) { whole.append(Array($0.dropFirst(5))) } }
        return try whole.map { try M(decoding: $0) }
    }

    mutating func client(_ request: WatchRequest) throws {
        var out = ByteWriter()
        Self.framed(request).withUnsafeBytes { relay.fromClient($0, toMember: &out) }
        for request in try Self.messages(out.array(), WatchRequest.self) { member.receive(request) }
    }

    mutating func watch(_ key: UInt8, from revision: Int64 = 0, id: Int64 = 0) throws {
        try client(
            WatchRequest(requestUnion: .createRequest(WatchCreateRequest(key: [key], startRevision: revision, watchId: id))))
    }

    mutating func cancel(_ id: Int64) throws {
        try client(WatchRequest(requestUnion: .cancelRequest(WatchCancelRequest(watchId: id))))
    }

    /// Passes up to `count` of the member's responses.
    mutating func pass(_ count: Int = .max) throws {
        for _ in 0..<min(count, member.outgoing.count) {
            var out = ByteWriter()
            let message = Self.framed(member.outgoing.removeFirst())
            try message.withUnsafeBytes { try relay.fromMember($0, toClient: &out) }
            told += try Self.messages(out.array(), WatchResponse.self)
        }
    }

    /// The member is lost with all it had not sent; another takes over.
    mutating func move(to next: ModelMember) throws {
        member = next
        var toMember = ByteWriter()
        var toClient = ByteWriter()
        relay.moveOn(toMember: &toMember, toClient: &toClient)
        told += try Self.messages(toClient.array(), WatchResponse.self)
        for request in try Self.messages(toMember.array(), WatchRequest.self) { member.receive(request) }
    }

    /// Revisions of the events told to a watch.
    func revisions(_ id: Int64) -> [Int64] {
        told.filter { $0.watchId == id }.flatMap { $0.events.compactMap { $0.kv?.modRevision } }
    }
}
