/// Mistakes that can be made on purpose; the checkers must find each. All but three are made around the members: in the disk, the
/// clients, the watchers and the network of the simulator.
public enum SeededBug: String, CaseIterable, Sendable {
    /// Every other sync of the log is skipped, so answers leave before what they vouch for is durable.
    case acknowledgeBeforeSync = "acknowledge-before-sync"
    /// A vote leaves before the term and the vote are durable.
    case earlyVote = "early-vote"
    /// A start knows the term, and not for whom the member voted in it.
    case forgottenVote = "forgotten-vote"
    /// A leader counts itself towards commit before its own sync.
    case leaderCountsItselfEarly = "leader-counts-itself-early"
    /// A follower acknowledges entries before its sync.
    case earlyAppendResponse = "early-append-response"
    /// A leader commits an entry of an older term because a majority holds it (Raft paper, figure 8). Made inside `Raft`.
    case oldTermCommit = "old-term-commit"
    /// The applied index is committed to the page file before the data (etcd 3.5.0 to 3.5.2, #13766).
    case indexBeforeData = "index-before-data"
    /// The page file's pages are not synced before the meta page that names them.
    case metaBeforePages = "meta-before-pages"
    /// A raft snapshot's file is not synced before its marker is in the log.
    case unsyncedSnapshot = "unsynced-snapshot"
    /// The database received with a snapshot is not synced before it is acknowledged.
    case unsyncedDatabase = "unsynced-database"
    /// Whoever believes to lead answers reads without asking the others.
    case staleRead = "stale-read"
    /// A read is answered from the state before the one its index was confirmed for (etcd #20418).
    case viewBeforeIndex = "view-before-index"
    /// A watch that was compacted goes on at the compact revision as if nothing had happened.
    case lostWatchEvents = "lost-watch-events"
    /// A resumed watch starts at the last revision it saw, not the one after (etcd #17247).
    case repeatedWatchEvents = "repeated-watch-events"
    /// A progress notification tells the store's revision, whatever is still to be told (etcd #15220).
    case earlyProgress = "early-progress"
    /// A leader that was deposed revokes what had ended by its own, old knowledge (etcd #15247).
    case oldLeaderRevokes = "old-leader-revokes"
    /// A new leader gives every lease its whole time, whatever was written down. Made inside `Member`.
    case remainingTimesLost = "remaining-times-lost"
    /// A leader asks the others once what they are, and not again over new connections, so that it writes nothing down any more.
    case kindsAskedOnce = "kinds-asked-once"
    /// A request passed on to the leader may arrive twice.
    case repeatedProposal = "repeated-proposal"
    /// Request ids start over with every start.
    case repeatedRequestIDs = "repeated-request-ids"
    /// A member of three that lost its disk comes back under its old id with nothing.
    case emptyComeback = "empty-comeback"
    /// A proxy sends a write again whose connection broke.
    case proxyRepeatsWrites = "proxy-repeats-writes"
    /// A proxy's watches go on one revision late at another member.
    case proxyResumesLate = "proxy-resumes-late"
    /// Keep-alives that were not answered are not asked again of the next member.
    case proxyForgetsKeepAlives = "proxy-forgets-keep-alives"
    /// Retries go on when their budget is used up.
    case proxyIgnoresBudget = "proxy-ignores-budget"
    /// Streams and requests stay at an endpoint that has to be left.
    case proxyStaysAtHung = "proxy-stays-at-hung"
    /// A call whose endpoint is left is not made again elsewhere.
    case proxyLosesCalls = "proxy-loses-calls"
    /// Endpoints of another cluster are chosen like those of its own.
    case proxyTakesForeign = "proxy-takes-foreign"

    /// What a member says of resumed watches is passed on although it cannot be so.
    case proxyBelievesWatches = "proxy-believes-watches"
    /// Whoever answers probes is taken for well, whatever becomes of requests.
    case proxyBelievesProbes = "proxy-believes-probes"

    /// Needs a proxy in the run.
    public var isOfProxies: Bool { rawValue.hasPrefix("proxy-") }
}
