// Whether a certificate is valid for a host: the rules of Go's x509.Certificate.VerifyHostname, which etcd relies on. Only subject
// alternative names count, never the common name (RFC 6125 and RFC 9525).
extension TLSPeerIdentity {
    /// `host`: a name, an address, or an address in brackets.
    public func isValid(for host: String) -> Bool {
        let bare = host.hasPrefix("[") && host.hasSuffix("]") && host.count >= 3 ? String(host.dropFirst().dropLast()) : host
        if let address = IPAddressBytes(bare) { return ipAddresses.contains(address) }
        let wanted = lowercased(host)
        let isName = Self.isHostname(wanted[...], mayBePattern: false)
        return dnsNames.contains { pattern in
            if isName, Self.isHostname(Substring(pattern), mayBePattern: true) {
                return Self.matches(lowercased(pattern), wanted)
            }
            // Names that are no host names still match themselves.
            return !pattern.isEmpty && lowercased(pattern) == wanted
        }
    }

    /// In Go's words.
    func mismatch(with host: String) -> String {
        if IPAddressBytes(host) != nil {
            guard !ipAddresses.isEmpty else {
                return "x509: cannot validate certificate for \(host) because it doesn't contain any IP SANs"
            }
            return "x509: certificate is valid for \(ipAddresses.map { $0.description }.joined(separator: ", ")), not \(host)"
        }
        guard !dnsNames.isEmpty else {
            return "x509: certificate is not valid for any names, but wanted to match \(host)"
        }
        return "x509: certificate is valid for \(dnsNames.joined(separator: ", ")), not \(host)"
    }

    /// A star stands for the whole leftmost label.
    private static func matches(_ pattern: String, _ host: String) -> Bool {
        let patternParts = withoutFinalDot(pattern).split(separator: ".", omittingEmptySubsequences: false)
        let hostParts = withoutFinalDot(host).split(separator: ".", omittingEmptySubsequences: false)
        guard patternParts.count == hostParts.count, !patternParts.isEmpty else { return false }
        return zip(patternParts, hostParts).enumerated().allSatisfy { index, pair in
            (index == 0 && pair.0 == "*") || pair.0 == pair.1
        }
    }

    private static func withoutFinalDot(_ name: String) -> Substring { name.hasSuffix(".") ? name.dropLast() : name[...] }

    /// Labels of letters, digits, hyphens (not first) and underscores.
    private static func isHostname(_ name: Substring, mayBePattern: Bool) -> Bool {
        let name = mayBePattern ? name : (name.hasSuffix(".") ? name.dropLast() : name)
        guard !name.isEmpty else { return false }
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        return labels.enumerated().allSatisfy { index, label in
            if label.isEmpty { return false }
            if mayBePattern, index == 0, label == "*" { return true }
            return label.utf8.enumerated().allSatisfy { position, byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                    return true
                case UInt8(ascii: "-"): return position != 0
                default: return false
                }
            }
        }
    }
}

/// ASCII letters only, as host names are compared.
private func lowercased(_ text: String) -> String {
    String(
        decoding: text.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
}
