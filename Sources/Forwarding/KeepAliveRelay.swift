import Bytes

/// One lease keep-alive stream through the proxy: the requests that no member has answered, so that they can be asked again elsewhere.
/// Renewing a lease twice harms nobody; a renewal that no client asked for is never made.
public struct KeepAliveRelay {
    public enum Problem: Error, Equatable, Sendable { case tooManyUnanswered }

    /// A client that asks and does not wait for answers is stopped here.
    public static let maximumUnanswered = 4_096

    /// Framed requests, oldest at `first`: members answer in order.
    private var unanswered: [[UInt8]] = []
    private var first = 0

    public init() {}

    public var unansweredCount: Int { unanswered.count - first }

    /// The client asked: its framed request goes on to the member.
    public mutating func asked(_ message: UnsafeRawBufferPointer) throws(Problem) {
        guard unansweredCount < Self.maximumUnanswered else { throw .tooManyUnanswered }
        unanswered.append(Array(message))
    }

    /// The member answered the oldest request.
    public mutating func answered() {
        guard first < unanswered.count else { return }
        unanswered[first] = []
        first += 1
        if first == unanswered.count || first >= 1_024 {
            unanswered.removeSubrange(..<first)
            first = 0
        }
    }

    /// What a new member has to be asked.
    public func resume(toMember: inout ByteWriter) {
        for message in unanswered[first...] { toMember.append(message) }
    }
}
