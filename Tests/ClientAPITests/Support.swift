import EtcdAPI
import Host
import MVCC
import NIOCore
import Records
import StoreTestKit
import Synchronization

@testable import ClientAPI
@testable import Member

/// A member that only notes what it is asked, in virtual time.
final class ScriptedMember: MemberPort {
    struct State {
        var requests: [ClientRequest] = []
        var published: Published
        var stall: Instant.Span?
        /// Requests for which the calling loop would have taken the turn.
        var turnsOffered = 0
        var failure: String?
    }

    let state: Mutex<State>

    init() throws {
        let status = MemberStatus(
            clusterID: 9, memberID: 7, role: .leader, leader: 7, term: 2, commitIndex: 5, appliedIndex: 5, isLearner: false,
            isOnlyVoter: true, membership: MembershipRecord(), alarms: [], pageFileSize: 0, pageFileSizeInUse: 0, quota: nil,
            leaseCount: 0, keyCount: 0, isAuthenticationEnabled: false, isReady: true, isCompacting: false, storedHashes: [],
            counts: .init())
        state = Mutex(State(published: Published(view: try TestStore().view, status: status)))
    }

    var published: Published { state.withLock { $0.published } }
    var stall: Instant.Span? {
        get { state.withLock { $0.stall } }
        set { state.withLock { $0.stall = newValue } }
    }
    var turnsOffered: Int { state.withLock { $0.turnsOffered } }
    var requests: [ClientRequest] { state.withLock { $0.requests } }

    func post(_ requests: [ClientRequest], mayTakeTurn: Bool) {
        state.withLock {
            $0.requests += requests
            if mayTakeTurn { $0.turnsOffered += 1 }
        }
    }
    func askLeader(_ question: LeaderQuestion, on eventLoop: any EventLoop) -> EventLoopFuture<MemberAnswer> {
        eventLoop.makeSucceededFuture(.refused(.noLeader))
    }
    func fail(_ reason: String) { state.withLock { $0.failure = reason } }

    func background<Value: Sendable>(
        on eventLoop: any EventLoop, _ body: @escaping @Sendable () throws -> Value
    ) -> EventLoopFuture<Value> {
        eventLoop.makeCompletedFuture { try body() }
    }

    func read<Value: Sendable>(
        on eventLoop: any EventLoop, _ body: @escaping @Sendable () throws -> Value
    ) -> EventLoopFuture<Value> {
        eventLoop.makeCompletedFuture { try body() }
    }
}

extension MemberAnswer {
    var refusal: EtcdError? { if case .refused(let error) = self { error } else { nil } }
}
