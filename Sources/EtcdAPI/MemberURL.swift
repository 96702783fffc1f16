/// Which URLs etcd accepts for a member (client/pkg/types, on top of Go's URL parser).
enum MemberURL {
    /// `http` and `https` need a host with a port and may have no path; `unix` and `unixs` may hold anything that is a URL.
    static func isValid(_ text: String) -> Bool {
        let trimmed = trim(Array(text.utf8))
        if trimmed.contains(where: { $0 < 0x20 || $0 == 0x7f }) { return false }
        guard let colon = trimmed.firstIndex(of: UInt8(ascii: ":")) else { return false }
        let scheme = String(decoding: trimmed[..<colon], as: UTF8.self).lowercased()
        guard ["http", "https", "unix", "unixs"].contains(scheme) else { return false }
        guard let parts = Parts(trimmed[(colon + 1)...]) else { return false }
        if scheme.hasPrefix("unix") { return true }
        return parts.isAddress && parts.path.isEmpty
    }

    private static func trim(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || 0x09...0x0d ~= $0 }
        guard let first = bytes.firstIndex(where: { !isSpace($0) }), let last = bytes.lastIndex(where: { !isSpace($0) }) else {
            return []
        }
        return bytes[first...last]
    }

    /// What follows the scheme's colon, without query and fragment.
    private struct Parts {
        private(set) var host: ArraySlice<UInt8> = []
        let path: ArraySlice<UInt8>

        /// nil where Go's parser fails.
        init?(_ rest: ArraySlice<UInt8>) {
            let end = rest.firstIndex { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") } ?? rest.endIndex
            let body = rest[..<end]
            guard body.starts(with: "//".utf8) else {
                path = body
                return
            }
            let authority = body.dropFirst(2)
            let slash = authority.firstIndex(of: UInt8(ascii: "/")) ?? authority.endIndex
            path = authority[slash...]
            let user = authority[..<slash].lastIndex(of: UInt8(ascii: "@"))
            host = authority[(user.map { $0 + 1 } ?? authority.startIndex)..<slash]
            if !Parts.isHost(host) { return nil }
        }

        /// One colon, outside brackets, parts host and port; either may be empty.
        var isAddress: Bool {
            let name = Parts.afterBrackets(host)
            return name.filter { $0 == UInt8(ascii: ":") }.count == 1
        }

        private static func afterBrackets(_ host: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
            guard host.first == UInt8(ascii: "["), let close = host.lastIndex(of: UInt8(ascii: "]")) else { return host }
            return host[(close + 1)...]
        }

        private static func isHost(_ host: ArraySlice<UInt8>) -> Bool {
            if host.contains(where: { " \"<>%^`{}|\\".utf8.contains($0) }) { return false }
            let name = afterBrackets(host)
            if host.first == UInt8(ascii: "["), name.startIndex == host.startIndex { return false }
            guard let colon = name.lastIndex(of: UInt8(ascii: ":")) else {
                return name.isEmpty || name.startIndex == host.startIndex
            }
            return name[(colon + 1)...].allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        }
    }
}
