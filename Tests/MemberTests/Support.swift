import Backend
import Bytes
import EtcdAPI
import Host
import PageStore
import Raft
import Records
import Simulation
import StateMachine
import WAL

@testable import MVCC
@testable import Member

/// One member on a disk in memory, in virtual time: carries out what its turns ask for, inline or later.
final class Bench {
    var disk = FaultyDisk()
    var settings: MemberSettings
    var now = Instant(nanoseconds: 1_000_000_000)
    private(set) var member: Member!
    private(set) var committer: PageCommitter!
    private(set) var published: Published!
    private(set) var notices: [OpenedMember.Notice] = []
    private(set) var events: [MemberEvent] = []
    /// Carry commits out at once; otherwise they wait for ``commitPages()`` and ``reportCommit()``.
    var commitsInline = true
    private var handedOut: (group: CommitGroup, defragments: Bool)?
    private var unreported: PageCommit?
    private var nextWake: Instant?
    /// Bytes of a segment of the log.
    var segmentSize = 64_000_000
    /// What becomes of a preparation of the log's next segment.
    var prepares: (SegmentPreparation) -> PreparedSegment? = { try? $0.run() }
    private(set) var preparations = 0
    private var prepared: [PreparedSegment?] = []
    private var nextRequest: UInt64 = 0
    private(set) var answers: [UInt64: MemberAnswer] = [:]

    init(seed: UInt64 = 1) {
        settings = MemberSettings(memberID: 7, clusterID: 9, name: "m", clientURLs: ["http://127.0.0.1:2379"], seed: seed)
    }

    /// Opens the directory, as a start of the process does.
    func open() throws {
        member = nil
        committer = nil
        handedOut = nil
        unreported = nil
        prepared = []
        answers = [:]
        var opening = MemberOpening(
            settings: settings, disk: disk, directory: DataDirectory("/data"),
            initialMembers: [MemberRecord(id: 7, name: "m", peerURLs: ["http://127.0.0.1:2380"])],
            salt: now.nanoseconds / 1_000_000)
        opening.pageFileOptions.access = .read
        opening.pageFileOptions.pageSize = 1024
        opening.pageFileOptions.growthStep = 64 << 10
        opening.segmentSize = segmentSize
        let opened = try opening.open()
        notices = opened.notices
        published = opened.firstPublished
        committer = PageCommitter(opened.pageFile)
        member = try Member(opened, now: now)
        nextWake = now
    }

    /// Opens and goes on until the member leads and has published itself.
    func start() throws {
        try open()
        try run(until: { $0.isReady && $0.role == .leader }, within: .seconds(10))
    }

    /// Power fails; what was synced, and some of the rest, is there afterwards.
    func crash(_ unsynced: UnsyncedWrites, _ random: inout SeededRandom) {
        disk.clearFaults()
        disk.crash(unsynced, choosing: &random)
        now = now + .milliseconds(50)
    }

    func advance(_ span: Instant.Span) { now = now + span }

    func turn(_ requests: [ClientRequest] = []) throws { _ = try turnOutput(requests) }

    func turnOutput(_ requests: [ClientRequest] = []) throws -> TurnOutput {
        var inbox = Inbox()
        inbox.requests = requests
        if let unreported { inbox.commits = [unreported] }
        unreported = nil
        inbox.segments = prepared
        prepared = []
        let output = try member.turn(inbox, now: now)
        if let view = output.published { published = view }
        for (address, answer) in output.answers { answers[address.request] = answer }
        events += output.events
        nextWake = output.nextWake
        if let group = output.commit { handedOut = (group, output.defragments) }
        if let preparation = output.segmentPreparation {
            preparations += 1
            prepared.append(prepares(preparation))
        }
        if commitsInline { try commitPages() }
        return output
    }

    /// Carries out the group that waits; its report goes into the next turn.
    func commitPages() throws {
        guard let (group, defragments) = handedOut else { return }
        handedOut = nil
        var commit = try committer.commit(group)
        if defragments { commit = try committer.defragment(after: group.number) }
        unreported = commit
    }

    /// Turns whenever one is due, up to `end`, where time stands afterwards.
    func run(to end: Instant) throws {
        var turns = 0
        while true {
            if unreported == nil {
                guard let wake = nextWake, wake <= end else { break }
                turns = wake > now ? 0 : turns + 1
                // Work in portions takes some turns at once; a member that never rests is broken.
                if turns > 10_000 { throw BenchError.neverRests }
                now = max(now, wake)
            }
            try turn()
        }
        now = max(now, end)
    }

    func run(until isReached: (MemberStatus) -> Bool, within span: Instant.Span) throws {
        let end = now + span
        while !isReached(published.status) {
            guard let wake = nextWake, max(now, wake) <= end else { throw BenchError.timeIsUp }
            now = max(now, wake)
            try turn()
        }
    }

    /// Puts the requests through the log in one turn; their answers, nil for those that have none yet.
    /// - Parameter header: under which user, where authentication is on.
    func propose(
        _ requests: [InternalRaftRequest.Request], header: RequestHeader = RequestHeader()
    ) throws -> [MemberAnswer?] {
        try submit(
            requests.map { request in
                nextRequest += 1
                let id = nextRequest << 32 | now.nanoseconds >> 20
                let payload = InternalRaftRequest(
                    header: RequestHeader(id: id, username: header.username, authRevision: header.authRevision), request: request
                ).encoded()
                return .propose(payload: payload, id: id, afterCompaction: false)
            })
    }

    func submit(_ commands: [MemberCommand]) throws -> [MemberAnswer?] {
        let addressed = commands.map { command in
            nextRequest += 1
            return ClientRequest(command, reply: ReplyAddress(loop: 0, request: nextRequest))
        }
        try turn(addressed)
        return addressed.map { answers[$0.reply.request] }
    }

    func answer(to command: MemberCommand) throws -> MemberAnswer? { try submit([command])[0] }

    func range(_ request: RangeRequest) throws -> RangeResponse { try published.view.range(request) }

    func value(_ key: String) throws -> KeyValue? { try range(RangeRequest(key: Array(key.utf8))).kvs.first }
}

enum BenchError: Error {
    case timeIsUp
    case neverRests
}

extension ReadView {
    func range(_ request: RangeRequest) throws -> RangeResponse {
        var reader = try reader()
        var writer = ByteWriter(capacity: 1024)
        try RangeQuery(request).encode(header: ResponseHeader(), from: &reader, current: currentRevision, into: &writer)
        return try RangeResponse(decoding: writer.array())
    }
}

extension MemberAnswer {
    var response: [UInt8]? { if case .applied(.response(let bytes)) = self { bytes } else { nil } }
    var refusal: EtcdError? {
        switch self {
        case .applied(.refused(let error)), .refused(let error): error
        default: nil
        }
    }
}

func put(_ key: String, _ value: String, lease: Int64 = 0) -> InternalRaftRequest.Request {
    .put(PutRequest(key: Array(key.utf8), value: Array(value.utf8), lease: lease))
}

func isDone(_ answer: MemberAnswer?) -> Bool { if case .done? = answer { true } else { false } }
