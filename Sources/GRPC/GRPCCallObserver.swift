/// Hears of the messages and the end of every call of a known method, on the loop. One per dispatcher.
public protocol GRPCCallObserver: AnyObject {
    /// Whether ``ended(_:_:nanoseconds:)`` wants to know how long calls took; asked once.
    var measuresTime: Bool { get }
    /// `bytes`: of the message, without gRPC's prefix.
    func received(_ method: Int, bytes: Int)
    func sent(_ method: Int, bytes: Int)
    /// Exactly once a call: with the status that was decided, or CANCELLED when the client left before.
    func ended(_ method: Int, _ code: GRPCCode, nanoseconds: UInt64)
}
