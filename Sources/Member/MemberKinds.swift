import Host
import Membership
import Raft

/// Which of the other members named themselves Quorate when they were asked for their version, for as long as the connections last on
/// which they were asked: a member may come back under its id as etcd, over the directory it had before.
struct MemberKinds {
    enum Kind { case quorate, other }

    private struct Answer {
        let kind: Kind
        let connection: UInt64
    }

    /// Between two questions because of a new connection.
    private static let pause = Instant.Span.milliseconds(300)

    private var answers: [MemberID: Answer] = [:]
    private var lastQuestion: UInt64 = 0
    /// Over which connections it was put; nil when there is no question whose answers would count.
    private var asked: [MemberID: UInt64]?
    /// Nobody is asked again before.
    private(set) var repetitionDue = Instant(nanoseconds: 0)

    var isWaiting: Bool { asked != nil }

    /// The number of a new question. Answers to those before it no longer count.
    mutating func ask(_ connections: [MemberID: UInt64], now: Instant) -> UInt64 {
        lastQuestion += 1
        asked = connections
        repetitionDue = now + MemberKinds.pause
        return lastQuestion
    }

    /// - Parameter heard: what those said that answered; the others are unknown from here on.
    mutating func heard(_ heard: [MemberID: PeerVersions], to question: UInt64) {
        guard question == lastQuestion, let connections = asked else { return }
        asked = nil
        answers = [:]
        for (member, versions) in heard {
            guard let connection = connections[member] else { continue }
            answers[member] = Answer(kind: versions.isQuorate ? .quorate : .other, connection: connection)
        }
    }

    /// Nil while it is unknown: not asked yet over the present connection, or not connected.
    func kind(of member: MemberID, connection: UInt64?) -> Kind? {
        guard let connection, let answer = answers[member], answer.connection == connection else { return nil }
        return answer.kind
    }

    mutating func forget() {
        answers = [:]
        asked = nil
        repetitionDue = Instant(nanoseconds: 0)
    }
}
