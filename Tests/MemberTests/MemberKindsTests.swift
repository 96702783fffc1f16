import Host
import Membership
import Records
import Testing

@testable import Member

@Suite struct MemberKindsTests {
    private let now = Instant(nanoseconds: 1_000_000_000)
    private let quorate = PeerVersions(server: ClusterVersion(3, 5, 30), cluster: nil, isQuorate: true)
    private let other = PeerVersions(server: ClusterVersion(3, 5, 30), cluster: nil)

    @Test func everybodyIsUnknownUntilAsked() {
        var kinds = MemberKinds()
        #expect(kinds.kind(of: 2, connection: 5) == nil)
        let question = kinds.ask([2: 5, 3: 9], now: now)
        #expect(kinds.isWaiting && kinds.kind(of: 2, connection: 5) == nil)
        kinds.heard([2: quorate, 3: other], to: question)
        #expect(kinds.kind(of: 2, connection: 5) == .quorate && kinds.kind(of: 3, connection: 9) == .other && !kinds.isWaiting)
    }

    /// The process at the other end may be another one.
    @Test func anAnswerCountsForItsConnectionAlone() {
        var kinds = MemberKinds()
        kinds.heard([2: quorate], to: kinds.ask([2: 5], now: now))
        #expect(kinds.kind(of: 2, connection: nil) == nil && kinds.kind(of: 2, connection: 6) == nil)
        // Asked over the old connection, answered by whoever was there then.
        let question = kinds.ask([2: 6], now: now)
        kinds.heard([2: quorate], to: question)
        #expect(kinds.kind(of: 2, connection: 7) == nil && kinds.kind(of: 2, connection: 6) == .quorate)
        // Without a connection nothing tells how long the answer holds.
        kinds.heard([2: quorate], to: kinds.ask([:], now: now))
        #expect(kinds.kind(of: 2, connection: 6) == nil)
    }

    @Test func whoDoesNotAnswerIsUnknown() {
        var kinds = MemberKinds()
        kinds.heard([2: quorate, 3: quorate], to: kinds.ask([2: 1, 3: 1], now: now))
        kinds.heard([3: quorate], to: kinds.ask([2: 1, 3: 1], now: now))
        #expect(kinds.kind(of: 2, connection: 1) == nil && kinds.kind(of: 3, connection: 1) == .quorate)
    }

    @Test func onlyTheLastQuestionCountsAndNoneAfterForgetting() {
        var kinds = MemberKinds()
        let first = kinds.ask([2: 1], now: now)
        let second = kinds.ask([2: 1], now: now)
        kinds.heard([2: quorate], to: first)
        #expect(kinds.kind(of: 2, connection: 1) == nil && kinds.isWaiting)
        kinds.forget()
        kinds.heard([2: quorate], to: second)
        #expect(kinds.kind(of: 2, connection: 1) == nil)
    }

    @Test func theAnswerNamesQuorate() throws {
        let theirs = try PeerVersions(decodingJSON: Array(#"{"etcdserver":"3.5.30","etcdcluster":"3.5.0"}"#.utf8))
        let ours = try PeerVersions(decodingJSON: Array(#"{"etcdserver":"3.5.30","etcdcluster":"3.5.0","quorate":"1"}"#.utf8))
        #expect(!theirs.isQuorate && ours.isQuorate && ours.server == theirs.server)
    }
}
