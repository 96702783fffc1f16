import Configuration
import Host
import Member
import Membership
import NIOCore
import Records
import WAL

/// What a member that has no data yet finds out about itself.
struct FirstStart {
    var memberID: UInt64 = 0
    var clusterID: UInt64 = 0
    /// The members of a cluster that is founded; empty for one that is joined.
    var founders: [MemberRecord] = []
    /// The members of a cluster that is joined, this one among them.
    var remotes: [MemberRecord] = []
    /// The version of the cluster that is joined, where it decides.
    var behavesAs: ClusterVersion?
}

extension MemberDaemon {
    /// Founds or joins a cluster as the configuration says. With a log in the directory the log decides, and the configuration is
    /// looked at only in case the log holds nothing.
    func firstStart(
        of directory: DataDirectory, on disk: any Disk, _ network: PeerNetwork
    ) throws(MemberFailure) -> FirstStart {
        if (try? WriteAheadLog.exists(disk, directory.walPath)) == true {
            var restart = FirstStart()
            if configuration.initialClusterState == .new, let named = try? configuration.verifyBootstrap(resolve: Names.resolve) {
                restart.founders = Bootstrap.founders(named.map(\.named), token: configuration.initialClusterToken)
            }
            return restart
        }
        do {
            return configuration.initialClusterState == .new ? try founded(network) : try joined(network)
        } catch let error as ConfigurationError {
            throw .configuration(error.message)
        } catch {
            throw .configuration("\(error)")
        }
    }

    private func founded(_ network: PeerNetwork) throws -> FirstStart {
        let named = try configuration.verifyBootstrap(resolve: Names.resolve).map(\.named)
        let founders = Bootstrap.founders(named, token: configuration.initialClusterToken)
        guard let own = founders.first(where: { $0.name == configuration.name }) else {
            preconditionFailure("the configuration names this member")
        }
        let running = network.runningCluster(urls(of: named), isFounding: true)
        try Bootstrap.check(own, isNewTo: running)
        let release = configuration.compatibilityVersion.etcdVersion
        try Bootstrap.check(
            network.versions(of: founders.filter { $0.id != own.id }), fit: try ClusterVersion(parsing: release))
        return FirstStart(
            memberID: own.id, clusterID: MemberIdentity.clusterID(members: founders.map(\.id)), founders: founders)
    }

    private func joined(_ network: PeerNetwork) throws -> FirstStart {
        let named = try configuration.verifyJoinExisting().map(\.named)
        guard let running = network.runningCluster(urls(of: named), isFounding: false) else { throw BootstrapRefusal.noAnswer }
        let members = try Bootstrap.identify(named, in: running, areEqual: Names.areEqual)
        guard let own = members.first(where: { $0.name == configuration.name }) else {
            preconditionFailure("the configuration names this member")
        }
        let follows = configuration.compatibilityVersion == .automatic
        let wanted = configuration.compatibilityVersion.etcdVersion.split(separator: ".").compactMap { Int($0) }
        let version = try Bootstrap.version(
            answers: network.versions(of: running.members.filter { $0.id != own.id }),
            wanted: follows ? nil : ClusterVersion(wanted[0], wanted[1], wanted[2]))
        return FirstStart(
            memberID: own.id, clusterID: running.id, remotes: running.members, behavesAs: follows ? version : nil)
    }

    /// Where the other members are found, in ascending order.
    private func urls(of named: [NamedMember]) -> [String] {
        named.filter { $0.name != configuration.name }.flatMap(\.peerURLs)
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}

extension InitialMember {
    var named: NamedMember { NamedMember(name: name, peerURLs: peerURLs.map(\.description)) }
}

/// Host names in URLs, which two lists may write differently and mean the same.
enum Names {
    /// The first address of a host. Asks the system's resolver and waits.
    static func resolve(_ host: String) -> String? {
        (try? SocketAddress.makeAddressResolvingHost(host, port: 1))?.ipAddress
    }

    static func areEqual(_ left: [String], _ right: [String]) -> Bool {
        if left == right { return true }
        guard left.count == right.count else { return false }
        return left.map(resolved).sorted() == right.map(resolved).sorted()
    }

    /// A URL with its host's address in place of the name; as it is where there is nothing to resolve.
    private static func resolved(_ url: String) -> String {
        let parts = url.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].hasPrefix("http"), let colon = parts[1].lastIndex(of: ":") else { return url }
        var host = parts[1][..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard let address = resolve(String(host)) else { return url }
        return "\(parts[0])://\(address)\(parts[1][colon...])"
    }
}
