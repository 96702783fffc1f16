/// Rows about how the member finds and joins its cluster.
enum ClusteringSettings {
    static var rows: [Setting] { membership + discovery + discoveryDetails }

    private static var membership: [Setting] {
        [
            Setting(
                "initial-advertise-peer-urls", .clustering, .urls(\.initialAdvertisePeerURLs), .all,
                "URLs under which the other members find this one."),
            Setting(
                "advertise-client-urls", .clustering, .urls(\.advertiseClientURLs), .all,
                "URLs under which clients find this member; needed whenever --listen-client-urls is given."),
            Setting(
                "initial-cluster", .clustering, .text(\.initialCluster, allowed: "NAME=URL, separated by commas"), .all,
                "The members at the first start, as NAME=URL,NAME=URL; not looked at afterwards."),
            Setting(
                "initial-cluster-state", .clustering, .choice(\.initialClusterState), .all,
                "\"new\" to found a cluster, \"existing\" to join one; not looked at after the first start."),
            Setting(
                "initial-cluster-token", .clustering, .text(\.initialClusterToken), .all,
                "Sets this cluster apart from others with the same members' URLs."),
            Setting(
                "strict-reconfig-check", .clustering, .truth(\.strictReconfigurationCheck), .all,
                "Refuse changes of the membership that would lose the quorum."),
            Setting(
                "pre-vote", .clustering, .truth(\.preVote), .all,
                "Ask before an election whether it could be won, so that a member that was cut off does not disturb the leader."),
            Setting(
                "auto-compaction-mode", .clustering, .text(\.autoCompactionMode, allowed: "\"periodic\" or \"revision\""), .all,
                "What --auto-compaction-retention counts: \"periodic\" for time, \"revision\" for revisions."),
            Setting(
                "auto-compaction-retention", .clustering, .text(\.autoCompactionRetention), .all,
                "How much history to keep: a duration (a bare number means hours) or a number of revisions; 0 keeps all."),
            Setting("max-learners", .clustering, .signed(\.maxLearners), .since36, "Learners the cluster may have at a time."),
        ]
    }

    private static var discovery: [Setting] {
        [
            Setting(
                "discovery", .clustering, .text(\.discovery.url), .until36, Support.discovery, "URL of a v2 discovery service."),
            Setting(
                "discovery-proxy", .clustering, .text(\.discovery.proxy), .until36, Support.discoveryDetail,
                "HTTP proxy on the way to a v2 discovery service."),
            Setting(
                "discovery-fallback", .clustering, .words(\.discovery.fallback, ["exit", "proxy"]), .all, Support.discoveryDetail,
                "What to do when discovery fails: only \"exit\" is possible."),
            Setting(
                "discovery-srv", .clustering, .text(\.discovery.srvDomain), .all,
                "DNS domain whose SRV records name the members."),
            Setting(
                "discovery-srv-name", .clustering, .text(\.discovery.srvServiceName), .all,
                "Suffix of the SRV records' service name."),
            Setting(
                "discovery-token", .clustering, .text(\.discovery.token), .since36, Support.discovery,
                file: ["discovery-config/token"], "Token of this cluster at a v3 discovery service."),
            Setting(
                "discovery-endpoints", .clustering, .set(\.discovery.endpoints), .since36, Support.discovery,
                file: ["discovery-config/client/endpoints"], "Endpoints of a v3 discovery service."),
        ]
    }

    private static var discoveryDetails: [Setting] {
        func row(
            _ name: String, _ target: SettingTarget, _ key: String, secret: Bool = false, _ help: String
        ) -> Setting {
            Setting(
                name, .clustering, target, .since36, Support.discoveryDetail, file: ["discovery-config/client/" + key],
                secret: secret,
                "Discovery service: " + help)
        }
        return [
            row("discovery-dial-timeout", .duration(\.discovery.dialTimeout), "dial-timeout", "timeout of a connection attempt."),
            row("discovery-request-timeout", .duration(\.discovery.requestTimeout), "request-timeout", "timeout of a request."),
            row("discovery-keepalive-time", .duration(\.discovery.keepAliveTime), "keepalive-time", "idle time before a ping."),
            row(
                "discovery-keepalive-timeout", .duration(\.discovery.keepAliveTimeout), "keepalive-timeout",
                "timeout of a ping."),
            row(
                "discovery-insecure-transport", .truth(\.discovery.insecureTransport), "secure/insecure-transport",
                "do without TLS."),
            row(
                "discovery-insecure-skip-tls-verify", .truth(\.discovery.insecureSkipVerify), "secure/insecure-skip-tls-verify",
                "do not verify its certificate; for tests only."),
            row("discovery-cert", .text(\.discovery.certificateFile), "secure/cert", "file of the client certificate."),
            row("discovery-key", .text(\.discovery.keyFile), "secure/key", "file of the client certificate's key."),
            row("discovery-cacert", .text(\.discovery.authorityFile), "secure/cacert", "file of the authorities to trust."),
            row("discovery-user", .text(\.discovery.user), "auth/username", secret: true, "user, or user:password."),
            row("discovery-password", .text(\.discovery.password), "auth/password", secret: true, "password."),
            row(
                "discovery-config/client/secure/server-name", .text(\.discovery.serverName), "secure/server-name",
                "name to verify."),
            row(
                "discovery-config/client/max-request-bytes", .signed(\.discovery.maxRequestBytes), "max-request-bytes",
                "request limit."),
            row(
                "discovery-config/client/max-recv-bytes", .signed(\.discovery.maxReceiveBytes), "max-recv-bytes",
                "answer limit."),
        ]
    }
}
