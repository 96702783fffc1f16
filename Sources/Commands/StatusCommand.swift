import Balancing
import Configuration
import TLS

/// `quorate status [URL...]`: how the member and the proxy of this host do, one line each, asked at their own pages. Without URLs
/// those are asked that the units' configuration names, with the certificates named there.
///
/// Exit status: 0 when all that answer are healthy, 1 when one is not, 2 when none answers.
enum StatusCommand {
    private static let usage = """
        usage: quorate status [http://HOST:PORT | https://HOST:PORT | unix:PATH ...]
                 [--cacert FILE] [--cert FILE --key FILE] [--insecure-skip-tls-verify]

        """

    /// A daemon to ask.
    private struct Place {
        var name: String
        var address: EndpointAddress
        var security: TLSClientSettings
    }

    static func run(_ arguments: [String]) -> Int32 {
        let places: [Place]
        do throws(UsageProblem) { places = try named(arguments) } catch { return fail("\(error.reason)\n\(usage)", 2) }
        let pages = LocalPages()
        var answers = 0
        var isAllHealthy = true
        for place in places.isEmpty ? configuredPlaces() : places {
            switch pages.get(place.address, "/metrics", place.security) {
            case .success(let page) where page.status == 200:
                answers += 1
                let health = try? pages.get(place.address, "/readyz", place.security).get()
                let isHealthy = health?.status == 200
                isAllHealthy = isAllHealthy && isHealthy
                let figures = DaemonFigures(MetricsPage(page.text)).line
                print("\(isHealthy ? "healthy  " : "UNHEALTHY") \(place.name)  \(figures)")
            case .success(let page):
                let guess = page.status == 400 && !place.address.isSecure ? LocalPages.guessOfTLS : ""
                print("?         \(place.name)  no metrics there: HTTP status \(page.status)\(guess)")
            case .failure(let problem): print("no answer \(place.name)  \(problem.reason)")
            }
        }
        return answers == 0 ? 2 : isAllHealthy ? 0 : 1
    }

    // MARK: what the command line names

    private struct UsageProblem: Error {
        let reason: String
    }

    private static func named(_ arguments: [String]) throws(UsageProblem) -> [Place] {
        var addresses: [(name: String, address: EndpointAddress)] = []
        var security = TLSClientSettings()
        var rest = arguments[...]
        while let word = rest.popFirst() {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            func value() throws(UsageProblem) -> String {
                guard let value = parts.count > 1 ? parts[1] : rest.popFirst() else {
                    throw UsageProblem(reason: "\(word) needs a file")
                }
                return value
            }
            switch parts.first {
            case "--cacert": security.trustedAuthorityFile = try value()
            case "--cert": security.certificateFile = try value()
            case "--key": security.keyFile = try value()
            case "--insecure-skip-tls-verify": security.skipsVerification = true
            default:
                guard !word.hasPrefix("-") else { throw UsageProblem(reason: "unknown argument \"\(word)\"") }
                do throws(AddressProblem) { addresses.append((word, try EndpointAddress(parsing: word))) } catch {
                    throw UsageProblem(reason: error.reason)
                }
            }
        }
        guard !addresses.isEmpty || arguments.isEmpty else {
            throw UsageProblem(reason: "certificates without a URL: those of the units are used where none is named")
        }
        return addresses.map { Place(name: $0.name, address: $0.address, security: security) }
    }

    // MARK: what the units run with

    private static func configuredPlaces() -> [Place] {
        let build = BuildVersion(version: "", revision: "")
        var places: [Place] = []
        if let file = SmallFile.read("/etc/default/quorate-member").map({ EnvironmentFile($0) }),
            case .run(let configuration, _)? = try? readMemberConfiguration(inputs(file), version: build)
        {
            let urls = configuration.listenMetricsURLs + configuration.listenClientURLs
            if let url = urls.first(where: { !$0.isSecure }) ?? urls.first { places.append(member(url, configuration)) }
        }
        if let file = SmallFile.read("/etc/default/quorate-proxy").map({ EnvironmentFile($0) }),
            case .run(let configuration, _)? = try? readProxyConfiguration(inputs(file), version: build)
        {
            let path = configuration.dataDirectory + "/proxy.sock"
            places.append(Place(name: "proxy unix:\(path)", address: .unix(path), security: TLSClientSettings()))
        }
        if places.isEmpty {
            let address = EndpointAddress(scheme: .http, host: "127.0.0.1", port: 2379)
            places = [Place(name: "member \(address)", address: address, security: TLSClientSettings())]
        }
        return places
    }

    private static func member(_ url: EndpointURL, _ configuration: MemberConfiguration) -> Place {
        let files = configuration.clientSecurity
        var security = TLSClientSettings()
        security.trustedAuthorityFile = files.trustedAuthorityFile
        // Asked for with --client-cert-auth; what the member presents where a client's is not given.
        security.certificateFile = files.clientCertificateFile.isEmpty ? files.certificateFile : files.clientCertificateFile
        security.keyFile = files.clientKeyFile.isEmpty ? files.keyFile : files.clientKeyFile
        // Nobody has signed a certificate that the member made for itself.
        security.skipsVerification = files.isAutomatic
        return Place(name: "member \(url)", address: address(of: url), security: security)
    }

    private static func inputs(_ file: EnvironmentFile) -> ConfigurationInputs {
        var inputs = ConfigurationInputs.system(arguments: file.words("DAEMON_ARGS"))
        inputs.environment = file.variables
        return inputs
    }

    private static func address(of url: EndpointURL) -> EndpointAddress {
        if url.isUnixSocket { return .unix(url.socketPath) }
        let isAny = url.host.isEmpty || url.host == "0.0.0.0" || url.host == "::"
        return EndpointAddress(
            scheme: url.isSecure ? .https : .http, host: isAny ? "127.0.0.1" : url.host, port: UInt16(url.port))
    }
}

extension EndpointAddress {
    fileprivate static func unix(_ path: String) -> EndpointAddress { EndpointAddress(scheme: .unix, socketPath: path) }
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
