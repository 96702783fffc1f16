/// One member of `--initial-cluster`.
public struct InitialMember: Sendable, Equatable {
    public let name: String
    /// Sorted by text.
    public let peerURLs: [EndpointURL]
}

/// Checks that matter only when the member finds no data and has to found or join a cluster; a restart does not look at these
/// settings. Source: `server/config/config.go` of etcd 3.5 to 3.7.
extension MemberConfiguration {
    /// Takes what was found in DNS, "NAME=URL" each, in place of `--initial-cluster`. Members under https prove that they belong to the
    /// domain unless their authorities were named, as in etcd.
    public mutating func takeDiscovered(members: [String]) throws(ConfigurationError) {
        discoveredCluster = members.joined(separator: ",")
        guard try initialMembers().contains(where: { $0.name == name }) else {
            throw ConfigurationError(
                "error setting up initial cluster: cannot find local etcd member \(goQuoted(name)) in SRV records")
        }
        if peerSecurity.trustedAuthorityFile.isEmpty, members.contains(where: { $0.contains("https://") }) {
            peerServerName = discovery.srvDomain
        }
    }

    /// The members that `--initial-cluster` or DNS names, sorted by name. URLs under the same name belong to the same member.
    public func initialMembers() throws(ConfigurationError) -> [InitialMember] {
        var urls: [String: [EndpointURL]] = [:]
        for part in (discoveredCluster ?? initialCluster).split(separator: ",") {
            let name = part.prefix { $0 != "=" }
            do {
                urls[String(name), default: []].append(try EndpointURL.parse(String(part.dropFirst(name.count + 1))))
            } catch {
                throw ConfigurationError("error setting up initial cluster: \(error.reason)")
            }
        }
        return urls.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            .map { InitialMember(name: $0, peerURLs: urls[$0, default: []].sorted()) }
    }

    /// Checks for founding a cluster: this member is named, under exactly the URLs it advertises.
    /// - Parameter resolve: the first address of a host name as text, or nil; retrying is up to the caller. It is asked only when
    ///   the URLs differ as they are written.
    public func verifyBootstrap(resolve: (_ host: String) -> String?) throws(ConfigurationError) -> [InitialMember] {
        let members = try initialMembers()
        let own = try ownEntry(in: members)
        try checkAdvertised(own.peerURLs, resolve)
        try checkDuplicates(members)
        return members
    }

    /// Checks for joining a cluster that exists: this member is named. Its URLs are the ones the cluster was told already.
    public func verifyJoinExisting() throws(ConfigurationError) -> [InitialMember] {
        let members = try initialMembers()
        _ = try ownEntry(in: members)
        try checkDuplicates(members)
        return members
    }

    private func ownEntry(in members: [InitialMember]) throws(ConfigurationError) -> InitialMember {
        guard let own = members.first(where: { $0.name == name }) else {
            throw ConfigurationError("couldn't find local name \(goQuoted(name)) in the initial cluster configuration")
        }
        return own
    }

    private func checkDuplicates(_ members: [InitialMember]) throws(ConfigurationError) {
        let all = members.flatMap { $0.peerURLs }
        guard Set(all).count < all.count else { return }
        throw ConfigurationError("initial cluster \(Self.text(of: members)) has duplicate url")
    }

    private static func text(of members: [InitialMember]) -> String {
        members.flatMap { member in member.peerURLs.map { "\(member.name)=\($0)" } }.joined(separator: ",")
    }

    /// The URLs of `--initial-cluster` and of `--initial-advertise-peer-urls` are the same, if need be after resolving names.
    private func checkAdvertised(
        _ initial: [EndpointURL], _ resolve: (_ host: String) -> String?
    ) throws(ConfigurationError) {
        let advertised = initialAdvertisePeerURLs.sorted()
        let difference = Self.difference(advertised, initial, resolve)
        guard let difference else { return }
        let advertisedText = advertised.map { $0.description }.joined(separator: ",")
        let onlyInitial = initial.filter { !advertised.contains($0) }
        if !onlyInitial.isEmpty {
            let missing = onlyInitial.map { "\(name)=\($0)" }.joined(separator: ",")
            throw ConfigurationError(
                "--initial-cluster has \(missing) but missing from --initial-advertise-peer-urls=\(advertisedText) "
                    + "(\(difference))"
            )
        }
        let ownText = Self.text(of: [InitialMember(name: name, peerURLs: advertised)])
        let onlyAdvertised = advertised.filter { !initial.contains($0) }
        if !onlyAdvertised.isEmpty {
            let missing = onlyAdvertised.map { $0.description }.joined(separator: ",")
            throw ConfigurationError("--initial-advertise-peer-urls has \(missing) but missing from --initial-cluster=\(ownText)")
        }
        throw ConfigurationError("failed to resolve \(advertisedText) to match --initial-cluster=\(ownText) (\(difference))")
    }

    /// How two sorted lists of URLs differ, or nil when they do not.
    private static func difference(
        _ left: [EndpointURL], _ right: [EndpointURL], _ resolve: (_ host: String) -> String?
    ) -> String? {
        func quoted(_ urls: [EndpointURL]) -> String { "[" + urls.map { goQuoted($0.description) }.joined(separator: " ") + "]" }
        guard left.count == right.count else { return "len(\(quoted(left))) != len(\(quoted(right)))" }
        if left == right { return nil }
        var resolved: [[EndpointURL]] = []
        for list in [left, right] {
            var urls: [EndpointURL] = []
            for url in list {
                if url.isUnixSocket || url.host == "localhost" || url.hostIsAddress {
                    urls.append(url)
                } else if let address = resolve(url.host) {
                    urls.append(url.replacingHost(address, port: url.port))
                } else {
                    return "failed to resolve \(goQuoted(url.description))"
                }
            }
            resolved.append(urls.sorted())
        }
        for (first, second) in zip(resolved[0], resolved[1]) where first != second {
            return "resolved urls: \(goQuoted(first.description)) != \(goQuoted(second.description))"
        }
        return nil
    }
}
