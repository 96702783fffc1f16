import HTTP2
import Host
import NIOCore
import Raft
import Records
import Telemetry

/// The transport's event loop: who the peers are, one timer for all of them, and the way of messages to the member.
final class TransportLoop {
    /// Members that are not known from the log name themselves in requests; so many are remembered.
    private static let maximumRemotes = 64
    /// Shorter than streams' timeouts, so that a kept connection is used again before it is closed.
    private static let probeInterval = TimeAmount.seconds(4)

    let shared: TransportShared
    private var peers: [MemberID: PeerShell] = [:]
    /// Sorted, so that what happens does not depend on a hash seed.
    private var order: [MemberID] = []
    private var removed: Set<MemberID> = []
    private var timer: (at: Instant, call: DelayedCall)?
    private var probing: RepeatedTask?
    private(set) var isStopped = false
    private var receivers: [ObjectIdentifier: SnapshotReceiver] = [:]

    init(_ shared: TransportShared) { self.shared = shared }

    func start() {
        let bound = NIOLoopBound(self, eventLoop: shared.eventLoop)
        probing = shared.eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: Self.probeInterval) { _ in
            bound.value.probe()
        }
    }

    func stop() {
        isStopped = true
        probing?.cancel()
        timer?.call.cancel()
        for id in order { peers[id]?.stop() }
        peers = [:]
        order = []
        for receiver in receivers.values { receiver.cancel() }
        receivers = [:]
    }

    // MARK: Who the peers are

    func update(members: [PeerMember], removed: Set<MemberID>) {
        guard !isStopped else { return }
        self.removed = removed
        let members = members.filter { $0.id != shared.settings.localID }
        let ids = Set(members.map(\.id))
        for id in order where peers[id]!.isMember ? !ids.contains(id) : removed.contains(id) { drop(id) }
        for member in members {
            let urls = member.urls.compactMap { PeerURL($0) }
            if let known = peers[member.id], known.isMember {
                known.update(urls: urls)
            } else {
                drop(member.id)
                add(member.id, urls, isMember: true)
            }
        }
    }

    func addRemote(_ member: PeerMember) {
        guard !isStopped, member.id != shared.settings.localID, peers[member.id] == nil, !removed.contains(member.id) else {
            return
        }
        guard peers.values.count(where: { !$0.isMember }) < Self.maximumRemotes else { return }
        let urls = member.urls.compactMap { PeerURL($0) }
        if !urls.isEmpty { add(member.id, urls, isMember: false) }
    }

    private func add(_ id: MemberID, _ urls: [PeerURL], isMember: Bool) {
        let shell = PeerShell(id, urls: urls, isMember: isMember, transport: self)
        peers[id] = shell
        order.insert(id, at: order.firstIndex { $0 > id } ?? order.count)
        shared.log.info(
            isMember ? "added remote peer" : "added new remote peer",
            [
                "local-member-id": .id(shared.settings.localID), "remote-peer-id": .id(id),
                "remote-peer-urls": .strings(urls.map(\.description)),
            ])
        shell.start()
    }

    private func drop(_ id: MemberID) {
        guard let shell = peers.removeValue(forKey: id) else { return }
        order.removeAll { $0 == id }
        shell.stop()
        shared.log.info(
            "removed remote peer", ["local-member-id": .id(shared.settings.localID), "removed-remote-peer-id": .id(id)])
    }

    func isRemoved(_ id: MemberID) -> Bool { removed.contains(id) }
    func member(_ id: MemberID) -> PeerShell? { peers[id].flatMap { $0.isMember ? $0 : nil } }

    // MARK: Out

    func send(_ messages: [Message]) {
        guard !isStopped else { return }
        var touched: [PeerShell] = []
        for message in messages {
            guard let shell = peers[message.to] else { continue }
            if shell.outbox.isEmpty { touched.append(shell) }
            shell.outbox.append(message)
        }
        for shell in touched { shell.sendOutbox() }
    }

    func sendSnapshot(_ message: Message, _ database: any SnapshotDatabase) {
        guard !isStopped, let shell = member(message.to) else {
            return shared.sink.snapshotSent(to: message.to, succeeded: false)
        }
        shell.sendSnapshot(message, database)
    }

    // MARK: In

    /// Hands messages of one peer to the member.
    func deliver(_ messages: [Message], from shell: PeerShell) {
        let local = shared.settings.localID
        let isWanted = { [removed] (message: Message) in message.to == local && !removed.contains(message.from) }
        let wanted = messages.allSatisfy(isWanted) ? messages : messages.filter(isWanted)
        let taken = wanted.isEmpty ? 0 : shared.sink.received(wanted)
        if taken < messages.count { shell.metrics.receiveFailures.increment(by: UInt64(messages.count - taken)) }
    }

    func keep(_ receiver: SnapshotReceiver) { receivers[ObjectIdentifier(receiver)] = receiver }
    func forget(_ receiver: SnapshotReceiver) { receivers[ObjectIdentifier(receiver)] = nil }
    var snapshotsArriving: Int { receivers.count }

    // MARK: Time

    /// Looks again when the first of the peers has something to do.
    func rearm() {
        guard !isStopped else { return }
        guard let wake = peers.values.reduce(nil, { earlier($0, $1.nextWake) }) else {
            timer?.call.cancel()
            timer = nil
            return
        }
        if let timer, timer.at <= wake { return }
        timer?.call.cancel()
        let delay = max(0, (wake - shared.now).nanoseconds)
        timer = (wake, DelayedCall(shared.eventLoop, .nanoseconds(delay)) { [weak self] in self?.expired() })
    }

    private func expired() {
        timer = nil
        for id in order { peers[id]?.advance() }
        rearm()
    }

    private func probe() {
        for id in order where peers[id]!.isMember { peers[id]?.probe() }
    }
}
