import Configuration
import Glibc

/// `quorate status [URL...]`: how the member and the proxy of this host do, one line each, asked at their own pages. Without URLs
/// those are asked that the units' configuration names.
///
/// Exit status: 0 when all that answer are healthy, 1 when one is not, 2 when none answers.
enum StatusCommand {
    private static let usage = "usage: quorate status [http://HOST:PORT | unix:PATH ...]\n"

    static func run(_ arguments: [String]) -> Int32 {
        var places: [(name: String, place: LocalPage.Place)] = []
        if arguments.isEmpty {
            places = configuredPlaces()
        } else {
            for text in arguments {
                guard let place = place(text) else { return fail(usage, 2) }
                places.append((text, place))
            }
        }
        var answers = 0
        var isAllHealthy = true
        for (name, place) in places {
            switch LocalPage.get(place, "/metrics") {
            case .success(let page) where page.status == 200:
                answers += 1
                let health = try? LocalPage.get(place, "/readyz").get()
                let isHealthy = health?.status == 200
                isAllHealthy = isAllHealthy && isHealthy
                print("\(isHealthy ? "healthy  " : "UNHEALTHY") \(name)  \(DaemonFigures(MetricsPage(page.body)).line)")
            case .success(let page): print("?         \(name)  no metrics there: HTTP status \(page.status)")
            case .failure(let problem): print("no answer \(name)  \(problem.reason)")
            }
        }
        return answers == 0 ? 2 : isAllHealthy ? 0 : 1
    }

    private static func place(_ text: String) -> LocalPage.Place? {
        if text.hasPrefix("unix:") {
            let path = text.dropFirst(5)
            return .unix(path: String(path.hasPrefix("//") ? path.dropFirst(2) : path))
        }
        guard text.hasPrefix("http://"), let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
        else {
            return nil
        }
        let host = text[..<colon].dropFirst(7).filter { $0 != "[" && $0 != "]" }
        return host.isEmpty ? nil : .tcp(host: host, port: port)
    }

    // MARK: what the units run with

    private static func configuredPlaces() -> [(name: String, place: LocalPage.Place)] {
        let build = BuildVersion(version: "", revision: "")
        var places: [(name: String, place: LocalPage.Place)] = []
        if let file = SmallFile.read("/etc/default/quorate-member").map({ EnvironmentFile($0) }),
            case .run(let configuration, _)? = try? readMemberConfiguration(inputs(file), version: build)
        {
            let plain = (configuration.listenMetricsURLs + configuration.listenClientURLs).first { !$0.isSecure }
            if let plain { places.append(("member \(plain)", place(plain))) }
        }
        if let file = SmallFile.read("/etc/default/quorate-proxy").map({ EnvironmentFile($0) }),
            case .run(let configuration, _)? = try? readProxyConfiguration(inputs(file), version: build)
        {
            let path = configuration.dataDirectory + "/proxy.sock"
            places.append(("proxy unix:\(path)", .unix(path: path)))
        }
        if places.isEmpty { places = [("member http://127.0.0.1:2379", .tcp(host: "127.0.0.1", port: 2379))] }
        return places
    }

    private static func inputs(_ file: EnvironmentFile) -> ConfigurationInputs {
        var inputs = ConfigurationInputs.system(arguments: file.words("DAEMON_ARGS"))
        inputs.environment = file.variables
        return inputs
    }

    private static func place(_ url: EndpointURL) -> LocalPage.Place {
        if url.isUnixSocket { return .unix(path: url.socketPath) }
        let isAny = url.host.isEmpty || url.host == "0.0.0.0" || url.host == "::"
        return .tcp(host: isAny ? "127.0.0.1" : url.host, port: url.port)
    }
}

/// The figures of a daemon's page as one line.
struct DaemonFigures {
    let page: MetricsPage

    init(_ page: MetricsPage) { self.page = page }

    var line: String {
        if let connections = page.value("quorate_proxy_client_connections") { return proxy(connections) }
        return member
    }

    private var member: String {
        func whole(_ name: String) -> Int64 { Int64(page.value(name) ?? 0) }
        var role = "follower"
        if whole("etcd_server_is_leader") == 1 {
            role = "leader"
        } else if whole("etcd_server_is_learner") == 1 {
            role = "learner"
        }
        if whole("etcd_server_has_leader") == 0 { role = "no leader" }
        var parts = [role, "term \(whole("quorate_server_term"))", "revision \(whole("etcd_debugging_mvcc_current_revision"))"]
        var data = "data \(mebibytes("etcd_mvcc_db_total_size_in_bytes")) MiB"
        if whole("etcd_server_quota_backend_bytes") > 0 { data += " of \(mebibytes("etcd_server_quota_backend_bytes")) MiB" }
        parts.append(data)
        parts.append("\(whole("quorate_server_members_up")) of \(whole("quorate_server_members")) members up")
        let alarms = page.values("etcd_debugging_server_alarms", label: "alarm_type").filter { $0.value > 0 }.map(\.label)
        parts.append(alarms.isEmpty ? "no alarms" : "ALARM " + Set(alarms).sorted().joined(separator: " "))
        return parts.joined(separator: ", ")
    }

    private func proxy(_ connections: Double) -> String {
        let endpoints = page.values("quorate_proxy_endpoint_serving", label: "endpoint")
        let others = endpoints.filter { $0.value == 0 }.map(\.label).sorted()
        var parts = ["\(endpoints.count - others.count) of \(endpoints.count) endpoints serve"]
        if !others.isEmpty { parts.append("not \(others.joined(separator: " "))") }
        parts.append("\(Int(connections)) connections")
        parts.append("\(Int(page.value("quorate_proxy_retries_total") ?? 0)) retries")
        return parts.joined(separator: ", ")
    }

    private func mebibytes(_ name: String) -> String {
        let tenths = Int64((page.value(name) ?? 0) * 10 / 1_048_576)
        return "\(tenths / 10).\(tenths % 10)"
    }
}
