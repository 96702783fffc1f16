import Balancing

/// What the proxy needs to know of a request over HTTP/1.1, or plain HTTP/2, to forward it: the JSON gateway, etcd's pages, the v2 API.
public struct PlainRequestKind: Equatable, Sendable {
    public var repeats = CallKind.Repeat.ifNeverProcessed
    /// Refused by a read-only proxy.
    public var isWrite = true
    /// The reply begins before it ends, or may be endless: it is not held back.
    public var streams = false
    public var isMemberSpecific = false
    /// The v2 API's own refusal when read-only: 501 without a body.
    public var isV2 = false

    public var balancing: RequestKind { isWrite ? .write : .read }

    /// - Parameters:
    ///   - path: As sent, without the query.
    ///   - query: Without the question mark.
    public init(method: String, path: String, query: String) {
        if path.hasPrefix("/v2/") || path == "/v2" {
            isV2 = true
            isWrite = method != "GET" && method != "HEAD" && method != "OPTIONS"
            streams = Self.has(query, "wait") || Self.has(query, "stream")
            // A long poll that breaks off may have missed something; only its client knows where it was.
            repeats = isWrite || streams ? .ifNeverProcessed : .always
            return
        }
        if let call = Self.gatewayCall(path) {
            let reads = Self.reads.contains(call)
            let speaksOfOne = call.hasPrefix("maintenance/")
            streams = call == "watch" || call == "lease/keepalive" || call == "maintenance/snapshot" || call == "election/observe"
            isMemberSpecific = speaksOfOne
            isWrite = !(reads || call == "watch" || call == "auth/authenticate" || Self.memberReads.contains(call))
            repeats = reads ? .always : .ifNeverProcessed
            return
        }
        isWrite = method != "GET" && method != "HEAD" && method != "OPTIONS"
        repeats = isWrite ? .ifNeverProcessed : .always
    }

    /// "kv/range" of "/v3/kv/range"; the gateway had the prefixes /v3beta and /v3alpha before.
    private static func gatewayCall(_ path: String) -> Substring? {
        for prefix in ["/v3/", "/v3beta/", "/v3alpha/"] where path.hasPrefix(prefix) { return path.dropFirst(prefix.count) }
        return nil
    }

    private static let reads: Set<Substring> = [
        "kv/range", "lease/timetolive", "kv/lease/timetolive", "lease/leases", "kv/lease/leases", "cluster/member/list",
        "auth/status",
        "auth/user/get", "auth/user/list", "auth/role/get", "auth/role/list", "election/leader",
    ]
    private static let memberReads: Set<Substring> = [
        "maintenance/status", "maintenance/hash", "maintenance/hashkv", "maintenance/snapshot", "election/observe",
    ]

    /// Whether the query asks for `name` with something else than "false".
    private static func has(_ query: String, _ name: String) -> Bool {
        query.split(separator: "&").contains { $0 == "\(name)=true" || $0 == name || $0 == "\(name)=1" }
    }
}
