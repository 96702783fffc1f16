import HTTP2

/// A plain HTTP request to a peer.
public struct PeerRequest: Sendable {
    public var method: String
    /// With scheme, authority and path.
    public var url: String
    public var fields: [HTTPField]
    public var body: [UInt8]
    /// From the beginning to the end of the answer, connecting included.
    public var timeout: Duration
    /// A longer answer fails the request.
    public var maximumBodyBytes = 16 << 20
    /// Whether the request may be sent again on a new connection when one that was kept turns out to be closed.
    public var mayRepeat: Bool

    public init(
        _ method: String, url: String, fields: [HTTPField] = [], body: [UInt8] = [], timeout: Duration = .seconds(5)
    ) {
        self.method = method
        self.url = url
        self.fields = fields
        self.body = body
        self.timeout = timeout
        mayRepeat = method == "GET"
    }
}

public struct PeerResponse: Sendable {
    public var status: Int
    /// Names in lower case.
    public var fields: [HTTPField]
    public var body: [UInt8]

    /// The first value of a field; `name` in lower case.
    public func first(_ name: String) -> String? { fields.first { $0.name == name }?.value }
}

/// Why a request got no answer.
public enum PeerRequestError: Error, Equatable, Sendable, CustomStringConvertible {
    case badURL(String)
    case connect(String)
    case timeout
    case closed(String)
    case tooLarge

    public var description: String {
        switch self {
        case .badURL(let url): "\"\(url)\" is no URL of a peer"
        case .connect(let reason): "dial: \(reason)"
        case .timeout: "i/o timeout"
        case .closed(let reason): reason
        case .tooLarge: "the answer is too long"
        }
    }
}
