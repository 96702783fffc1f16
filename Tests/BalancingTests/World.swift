import Balancing
import Host

/// Endpoints that behave as a test says, in virtual time: answers probes and member lists, and keeps what the monitor wanted.
struct World {
    enum Behaviour: Equatable {
        case works
        case refuses
        /// Takes connections and never answers.
        case hangs
        case hasNoLeader
        case isLearner
        case isCorrupt
        case inCluster(UInt64)
        case fails(ProbeFailure)
    }

    static let cluster: UInt64 = 0xc1
    private(set) var now = Instant(nanoseconds: 1_000_000_000_000)
    private let start = Instant(nanoseconds: 1_000_000_000_000)
    var monitor: HealthMonitor
    var behaviours: [EndpointAddress: Behaviour] = [:]
    var memberIDs: [EndpointAddress: UInt64] = [:]
    /// What the cluster says its members are; nil: the request fails.
    var listing: MemberListing?
    var view = BalancingView()
    private(set) var left: [(address: EndpointAddress, reason: LeaveReason, at: Instant)] = []
    private(set) var events: [HealthEvent] = []
    private(set) var stored: [KnownCluster] = []
    private(set) var removed: [EndpointID] = []
    private(set) var probes = 0
    /// Endpoints that clients hear from all the time.
    var isHeard: Set<EndpointAddress> = [] { didSet { for address in oldValue { lastHeard[address] = now } } }
    private var lastHeard: [EndpointAddress: Instant] = [:]
    private var answers: [(due: Instant, id: EndpointID, result: ProbeResult)] = []
    private var names: [EndpointID: EndpointAddress] = [:]
    private static let roundTrip = Instant.Span.milliseconds(2)

    init(
        _ settings: BalancingSettings = BalancingSettings(), seeds: [Seed], known: KnownCluster? = nil, seed: UInt64 = 1,
        behaviours: [EndpointAddress: Behaviour] = [:], memberIDs: [EndpointAddress: UInt64] = [:]
    ) {
        self.behaviours = behaviours
        self.memberIDs = memberIDs
        monitor = HealthMonitor(settings, seeds: seeds, known: known, seed: seed, now: now)
        for (index, seed) in seeds.enumerated() { self.memberIDs[seed.address] = UInt64(index + 1) }
        drain()
    }

    static func endpoints(_ count: Int) -> [Seed] {
        (1...count).map { Seed(EndpointAddress(scheme: .http, host: "10.0.0.\($0)", port: 2379)) }
    }

    var milliseconds: Int64 { (now - start).nanoseconds / 1_000_000 }

    /// Lets time pass, event by event.
    mutating func run(_ milliseconds: Int64) {
        let end = now + .milliseconds(milliseconds)
        while true {
            let wake = monitor.nextWakeUp
            let answer = answers.min { ($0.due, $0.id) < ($1.due, $1.id) }?.due
            guard let next = [wake, answer].compactMap({ $0 }).min(), next <= end else { break }
            now = max(now, next)
            if let index = answers.indices.filter({ answers[$0].due <= now }).min(by: { answers[$0].due < answers[$1].due }) {
                let (_, id, result) = answers.remove(at: index)
                let heard = names[id].flatMap { isHeard.contains($0) ? now : lastHeard[$0] }
                monitor.probeFinished(id, result, lastHeard: heard, now: now)
            } else {
                monitor.advance(now: now)
            }
            drain()
        }
        now = end
    }

    mutating func change(_ body: (inout HealthMonitor, Instant) -> Void) {
        body(&monitor, now)
        drain()
    }

    mutating func forgetWhatHappened() {
        left = []
        events = []
        removed = []
    }

    private mutating func drain() {
        var effects = monitor.takeEffects()
        while !effects.isEmpty {
            for effect in effects { perform(effect) }
            effects = monitor.takeEffects()
        }
    }

    private mutating func perform(_ effect: HealthEffect) {
        switch effect {
        case .probe(let id, let address, let timeout):
            probes += 1
            names[id] = address
            let behaviour = behaviours[address] ?? .works
            let wait = behaviour == .hangs ? timeout : Self.roundTrip
            answers.append((now + wait, id, result(behaviour, address)))
        case .listMembers(let id, _): monitor.membersListed(listing, by: id, now: now)
        case .publish(let view): self.view = view
        case .leave(let id, let reason):
            if let address = names[id] { left.append((address, reason, now)) }
        case .remove(let id): removed.append(id)
        case .store(let known): stored.append(known)
        case .note(let event): events.append(event)
        }
    }

    private func result(_ behaviour: Behaviour, _ address: EndpointAddress) -> ProbeResult {
        var report = ProbeReport()
        report.clusterID = Self.cluster
        report.memberID = memberIDs[address] ?? 99
        report.leaderID = 1
        switch behaviour {
        case .works: break
        case .refuses: return .failed(.refused, detail: "connection refused")
        case .hangs: return .failed(.timedOut, detail: "no answer in time")
        case .fails(let failure): return .failed(failure, detail: "failed")
        case .hasNoLeader: report.leaderID = 0
        case .isLearner: report.isLearner = true
        case .isCorrupt: report.alarms = [.corrupt]
        case .inCluster(let id): report.clusterID = id
        }
        return .answered(report)
    }

    func standing(_ address: EndpointAddress) -> Standing? { view.endpoints.first { $0.address == address }?.standing }
    func id(_ address: EndpointAddress) -> EndpointID? { view.endpoints.first { $0.address == address }?.id }
    var addresses: [EndpointAddress] { view.endpoints.map(\.address) }
}

extension EndpointAddress {
    init(_ text: String) throws { try self.init(parsing: text) }
}
