import CLinux

/// Who owns a descriptor that a ``PollingEventLoop`` watches. All calls come on the loop.
public protocol PolledSocket: AnyObject {
    /// Something has changed since the last time. What can be read is told once: whoever leaves bytes there must come back by itself.
    func ready(_ readiness: Readiness)
    /// The turn that was asked for with ``PollingEventLoop/goOnLater(_:)``.
    func goOn()
}

/// What can be done with a descriptor, as epoll tells it.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let readable = Readiness(rawValue: UInt32(EPOLLIN.rawValue))
    public static let writable = Readiness(rawValue: UInt32(EPOLLOUT.rawValue))
    /// The peer will say no more after what is there.
    public static let inputEnds = Readiness(rawValue: UInt32(EPOLLRDHUP.rawValue))
    /// Both directions are at their end.
    public static let hangUp = Readiness(rawValue: UInt32(EPOLLHUP.rawValue))
    public static let failed = Readiness(rawValue: UInt32(EPOLLERR.rawValue))

    /// EPOLLET is a sign bit that Swift's Glibc leaves out.
    static let everything: Readiness = [.readable, .writable, .inputEnds, Readiness(rawValue: 1 << 31)]
}
