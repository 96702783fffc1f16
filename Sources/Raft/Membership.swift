import Host

/// Changes of membership take effect when they are applied, as in etcd's raft (and unlike the thesis, where they do when
/// appended).
extension RaftNode {
    /// Carries out a committed change; to be called while its entry is applied, before ``applied(through:)``.
    ///
    /// Returns the membership from here on, to be stored with the state machine. Throws when the change does not fit: every
    /// member meets the same contradiction, and none can go on.
    @discardableResult
    public mutating func applyConfigurationChange(_ change: ConfigurationChange, now: Instant) throws(RaftError) -> ConfState {
        do {
            cluster = try cluster.applying(change)
        } catch {
            throw .invalidChange(error)
        }
        adoptCluster()
        if role == .leader { leadNewCluster(now) }
        return cluster.confState
    }

    private mutating func leadNewCluster(_ now: Instant) {
        // Fewer voters may agree on more.
        advanceCommit()
        confirmReads()
        if duties.isTransferring && !cluster.voters.contains(duties.transferTarget) { duties.transferTarget = 0 }
        if !cluster.voters.contains(id) { handOver(now) }
    }

    /// A leader that was removed, or made a learner, leads on without counting itself until a voter takes over. Were it to step
    /// down at once, the others might never learn that the change is committed, and wait for its vote for ever.
    mutating func handOver(_ now: Instant) {
        let best = cluster.voters.incoming.members.max { peers.match(of: $0) < peers.match(of: $1) }
        if let best { startTransfer(to: best, now) }
    }

    mutating func adoptCluster() {
        peers.adopt(cluster, lastIndex: log.lastIndex, windowLimit: configuration.maximumInflightAppends)
    }

    /// Once a joint configuration that leaves by itself is applied, the leader proposes to leave it. A transfer under way goes
    /// first.
    mutating func leaveJointAutomatically() {
        guard cluster.autoLeave, applied >= duties.pendingChange, !duties.isTransferring else { return }
        appendToOwnLog(kind: .configurationChangeV2, data: [])
        duties.pendingChange = log.lastIndex
    }
}
