import HTTP2

/// Who may call over plain HTTP: `--cors` and `--host-whitelist`, applied as etcd does.
public struct AccessRules: Sendable {
    private let origins: Set<String>
    private let hosts: Set<String>

    /// `*`, or nothing, stands for all.
    public init(origins: [String] = ["*"], hosts: [String] = ["*"]) {
        self.origins = Set(origins)
        self.hosts = Set(hosts)
    }

    /// The fields that let pages of the calling origin read the answer; none where it is not allowed.
    func fields(origin: String?) -> [HTTPField] {
        let allowed: String
        if origins.isEmpty || origins.contains("*") {
            allowed = "*"
        } else if let origin, origins.contains(origin) {
            allowed = origin
        } else {
            return []
        }
        return [
            HTTPField("access-control-allow-methods", "POST, GET, OPTIONS, PUT, DELETE"),
            HTTPField("access-control-allow-origin", allowed),
            HTTPField("access-control-allow-headers", "accept, content-type, authorization"),
        ]
    }

    /// The refusal of a request whose Host names no allowed one; nil when it may pass. Protects members without TLS from pages that
    /// have their name resolve to the member's address (CVE-2018-5702).
    func refusal(host: String?) -> String? {
        let name = AccessRules.hostname(host ?? "")
        guard !hosts.isEmpty, !hosts.contains("*"), !hosts.contains(name) else { return nil }
        return """

            etcd received your request, but the Host header was unrecognized.

            To fix this, choose one of the following options:
            - Enable TLS, then any HTTPS request will be allowed.
            - Add the hostname you want to use to the whitelist in settings.
              - e.g. etcd --host-whitelist \(quoted(name))

            This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).

            """
    }

    /// A Host field without its port, as Go's `net.SplitHostPort` takes it apart; what that cannot is left whole.
    static func hostname(_ host: String) -> String {
        guard let colon = host.lastIndex(of: ":") else { return host }
        let name = host[..<colon]
        if name.hasPrefix("["), name.hasSuffix("]") { return String(name.dropFirst().dropLast()) }
        return name.contains(":") || name.contains("[") || name.contains("]") ? host : String(name)
    }

    /// As Go's `%q` shows a name of printable characters.
    private func quoted(_ name: String) -> String {
        var text = ""
        for scalar in name.unicodeScalars {
            switch scalar {
            case "\"", "\\": text += "\\\(scalar)"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let digits = String(scalar.value, radix: 16)
                text += "\\x" + (digits.count < 2 ? "0" : "") + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return "\"\(text)\""
    }
}
