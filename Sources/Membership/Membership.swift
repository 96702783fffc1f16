import Raft
import Records

/// Why a change of membership is refused.
public enum MembershipRefusal: Error, Equatable, Sendable {
    /// The id was removed once and may not come back.
    case idRemoved
    case idExists
    case idNotFound
    case peerURLExists
    case tooManyLearners
    case notALearner
    /// Too few voters have ever started for the cluster to keep a quorum.
    case notEnoughStarted
    /// The entry's own bytes make no sense.
    case malformed(String)
}

/// Who belongs to the cluster, and the rules by which that changes. Members agree on it because each applies the same entries.
public struct Membership: Equatable, Sendable {
    public private(set) var record: MembershipRecord
    /// Learners allowed at a time (`--max-learners`).
    public var learnerLimit: Int

    public init(_ record: MembershipRecord = MembershipRecord(), learnerLimit: Int = 1) {
        self.record = record
        self.learnerLimit = learnerLimit
    }

    public var members: [MemberRecord] { record.members }
    public var voters: [MemberRecord] { record.members.filter { !$0.isLearner } }
    public var clusterVersion: ClusterVersion? { record.clusterVersion }

    public func member(_ id: MemberID) -> MemberRecord? { record.members.first { $0.id == id } }
    public func isRemoved(_ id: MemberID) -> Bool { record.removed.contains(id) }

    /// Whether the cluster's version is known to be at least this one.
    public func isAtLeast(_ major: Int, _ minor: Int) -> Bool {
        record.clusterVersion.map { $0 >= ClusterVersion(major, minor) } ?? false
    }

    /// Validates one configuration change against the present members and carries it out.
    public mutating func apply(_ change: ConfigurationChange) throws(MembershipRefusal) {
        guard change.steps.count == 1, let step = change.steps.first else {
            throw .malformed("a configuration change of \(change.steps.count) steps")
        }
        if isRemoved(step.member) { throw .idRemoved }
        switch step.kind {
        case .addVoter, .addLearner: try add(step.member, context: try context(change), asLearner: step.kind == .addLearner)
        case .remove: try remove(step.member)
        case .update: try update(step.member, to: try context(change).member)
        }
    }

    private func context(_ change: ConfigurationChange) throws(MembershipRefusal) -> MemberChangeContext {
        do { return try MemberChangeContext(decodingJSON: change.context) } catch {
            throw .malformed("the context of a configuration change: \(error)")
        }
    }

    private mutating func add(_ id: MemberID, context: MemberChangeContext, asLearner: Bool) throws(MembershipRefusal) {
        guard context.member.id == id else { throw .malformed("a configuration change names two members") }
        if context.isPromotion {
            guard let at = record.members.firstIndex(where: { $0.id == id }) else { throw .idNotFound }
            guard record.members[at].isLearner else { throw .notALearner }
            record.members[at].isLearner = false
            return
        }
        if member(id) != nil { throw .idExists }
        try checkURLs(context.member.peerURLs, except: id)
        if context.member.isLearner, members.filter(\.isLearner).count >= learnerLimit { throw .tooManyLearners }
        record.members.append(context.member)
        record.members.sort { $0.id < $1.id }
    }

    private mutating func remove(_ id: MemberID) throws(MembershipRefusal) {
        guard member(id) != nil else { throw .idNotFound }
        record.members.removeAll { $0.id == id }
        record.removed.append(id)
        record.removed.sort()
    }

    /// Only the peer URLs: whether it is a learner is changed by promotion alone.
    private mutating func update(_ id: MemberID, to wanted: MemberRecord) throws(MembershipRefusal) {
        guard let at = record.members.firstIndex(where: { $0.id == id }) else { throw .idNotFound }
        try checkURLs(wanted.peerURLs, except: id)
        record.members[at].peerURLs = wanted.peerURLs
    }

    private func checkURLs(_ urls: [String], except id: MemberID) throws(MembershipRefusal) {
        for other in members where other.id != id {
            for url in urls where other.peerURLs.contains(url) { throw .peerURLExists }
        }
    }

    /// What a member publishes about itself when it starts; of a removed member it is passed over.
    public mutating func setAttributes(_ id: MemberID, name: String, clientURLs: [String]) {
        guard let at = record.members.firstIndex(where: { $0.id == id }) else { return }
        record.members[at].name = name
        record.members[at].clientURLs = clientURLs
    }

    public mutating func setClusterVersion(_ version: ClusterVersion) { record.clusterVersion = version }
    public mutating func setDowngrade(_ downgrade: DowngradeRecord?) { record.downgrade = downgrade }
}

/// etcd's `strict-reconfig-check`: changes that could cost the quorum are refused before they are proposed.
extension Membership {
    /// A member that has started has published its name.
    private func startedVoters(except id: MemberID? = nil) -> Int {
        voters.filter { $0.id != id && !$0.name.isEmpty }.count
    }

    public func checkAddingVoter() throws(MembershipRefusal) {
        let after = voters.count + 1
        let started = startedVoters()
        // Growing a single restored member to two has to be possible.
        if started == 1, after == 2 { return }
        if started < after / 2 + 1 { throw .notEnoughStarted }
    }

    public func checkRemovingVoter(_ id: MemberID) throws(MembershipRefusal) {
        if member(id)?.isLearner == true { return }
        let after = voters.filter { $0.id != id }.count
        if startedVoters(except: id) < after / 2 + 1 { throw .notEnoughStarted }
    }

    public func checkPromoting(_ id: MemberID) throws(MembershipRefusal) {
        if startedVoters() + 1 < (voters.count + 1) / 2 + 1 { throw .notEnoughStarted }
    }
}
