import Discovery
import Host
import Testing

/// Names that are known to a test.
struct TestNames: NameService {
    var services: [String: [ServiceRecord]] = [:]
    var hosts: [String: String] = [:]

    func records(of name: String) throws(LookupProblem) -> [ServiceRecord] {
        guard let records = services[name] else { throw LookupProblem("lookup \(name): no such host", isAbsence: true) }
        return records
    }

    func address(of host: String) throws(LookupProblem) -> String {
        if host.allSatisfy({ $0.isNumber || $0 == "." }) { return host }
        guard let address = hosts[host] else { throw LookupProblem("lookup \(host): no such host", isAbsence: true) }
        return address
    }
}

struct ServiceOrderTests {
    @Test func prioritiesComeInOrderAndTheSameSeedDecidesTheSame() {
        let records = (0..<20).map { ServiceRecord(priority: UInt16($0 % 3), weight: UInt16($0), port: UInt16($0), target: "a") }
        var first = SeededRandom(seed: 7)
        var second = SeededRandom(seed: 7)
        let ordered = records.ordered(using: &first)
        #expect(ordered.map(\.priority) == ordered.map(\.priority).sorted())
        #expect(Set(ordered) == Set(records) && ordered.count == records.count)
        #expect(records.reversed().ordered(using: &second) == ordered)
    }

    @Test func heavierOnesComeFirstMoreOften() {
        let light = ServiceRecord(weight: 1, port: 1, target: "light")
        let heavy = ServiceRecord(weight: 9, port: 2, target: "heavy")
        let idle = ServiceRecord(weight: 0, port: 3, target: "idle")
        var random = SeededRandom(seed: 1)
        var first: [ServiceRecord: Int] = [:]
        for _ in 0..<1_000 { first[[light, idle, heavy].ordered(using: &random)[0], default: 0] += 1 }
        #expect((850...950).contains(first[heavy]!) && first[idle] == nil)
    }
}

struct ClusterDiscoveryTests {
    private static let secure = "_etcd-server-ssl._tcp.example.com"
    private static let plain = "_etcd-server._tcp.example.com"

    private func find(
        _ names: TestNames, name: String = "b", suffix: String = "", _ advertised: [ClusterDiscovery.Advertised]
    ) -> [ClusterDiscovery.Finding] {
        var discovery = ClusterDiscovery(domain: "example.com", suffix: suffix, name: name, advertised: advertised)
        var random = SeededRandom(seed: 1)
        return discovery.find(in: names, using: &random)
    }

    private var three: TestNames {
        TestNames(
            services: [Self.plain: (0..<3).map { ServiceRecord(port: 2380, target: "infra\($0).example.com") }],
            hosts: ["infra0.example.com.": "10.0.0.1", "infra1.example.com.": "10.0.0.2", "infra2.example.com": "10.0.0.3"])
    }

    @Test func theOwnRecordGetsTheNameAndTheOthersNumbers() {
        let findings = find(three, [.init(scheme: "http", host: "10.0.0.2", port: 2380)])
        #expect(findings[0].members.isEmpty)
        #expect(
            findings[0].problem
                == "error querying DNS SRV records for _etcd-server-ssl lookup \(Self.secure): no such host")
        #expect(
            findings[1].members == [
                "0=http://infra0.example.com:2380", "b=http://infra1.example.com:2380", "1=http://infra2.example.com:2380",
            ])
        #expect(findings[1].problem == nil)
    }

    @Test func aPortOfItsOwnMakesAnotherMember() {
        let findings = find(three, [.init(scheme: "http", host: "10.0.0.2", port: 2381)])
        #expect(findings[1].members.allSatisfy { !$0.hasPrefix("b=") })
    }

    @Test func aNumberForANameIsNotGivenTwice() {
        let findings = find(three, name: "0", [.init(scheme: "http", host: "10.0.0.2", port: 2380)])
        #expect(findings[1].members.map { $0.prefix(2) } == ["1=", "0=", "2="])
    }

    @Test func aSchemeThatDoesNotFitIsLeftOutAndTold() {
        var names = three
        names.services = [Self.plain: [names.services[Self.plain]![1]]]
        let findings = find(names, [.init(scheme: "https", host: "10.0.0.2", port: 2380)])
        #expect(findings[1].members.isEmpty)
        #expect(
            findings[1].problem?.hasSuffix(
                "bootstrap at http://infra1.example.com:2380 from DNS for etcd-server has scheme mismatch with expected peer "
                    + "https://10.0.0.2:2380") == true)
    }

    @Test func hostsThatAreNotFoundMatterOnlyWhereNoneIs() {
        var names = three
        names.hosts["infra0.example.com."] = nil
        #expect(find(names, [.init(scheme: "http", host: "10.0.0.2", port: 2380)])[1].problem == nil)
        names.hosts = [:]
        let finding = find(names, [.init(scheme: "http", host: "10.0.0.2", port: 2380)])[1]
        #expect(finding.members.isEmpty && finding.problem?.contains("no such host") == true)
        // Its own address has to be known, too.
        #expect(find(three, [.init(scheme: "http", host: "nowhere", port: 2380)])[1].members.isEmpty)
    }

    @Test func suffixesAndBothServices() {
        var names = three
        names.services = [
            "_etcd-server-ssl-blue._tcp.example.com": [ServiceRecord(port: 1, target: "infra0.example.com")],
            "_etcd-server-blue._tcp.example.com": [ServiceRecord(port: 2, target: "infra1.example.com")],
        ]
        let findings = find(names, suffix: "blue", [.init(scheme: "http", host: "10.0.0.2", port: 2)])
        #expect(
            findings.map(\.members) == [["0=https://infra0.example.com:1"], ["b=http://infra1.example.com:2"]])
    }
}

struct EndpointDiscoveryTests {
    private let names = TestNames(services: [
        "_etcd-client-ssl._tcp.example.com": [ServiceRecord(port: 2379, target: "a.example.com")],
        "_etcd-client._tcp.example.com": [ServiceRecord(priority: 1, port: 2379, target: "b.example.com")],
        "_etcd-client-red._tcp.example.com": [ServiceRecord(port: 1, target: "c.example.com")],
    ])

    private func find(suffix: String, allowsPlain: Bool) throws(LookupProblem) -> [EndpointDiscovery.Endpoint] {
        var random = SeededRandom(seed: 1)
        return try EndpointDiscovery(domain: "example.com", suffix: suffix, allowsPlain: allowsPlain)
            .find(in: names, using: &random).endpoints
    }

    @Test func plainOnesOnlyWhereAllowed() throws {
        #expect(try find(suffix: "", allowsPlain: false).map(\.record.target) == ["a.example.com"])
        let both = try find(suffix: "", allowsPlain: true)
        #expect(both.map(\.isSecure) == [true, false] && both.map(\.record.target) == ["a.example.com", "b.example.com"])
        #expect(try find(suffix: "red", allowsPlain: true).map(\.record.target) == ["c.example.com"])
        let problem = #expect(throws: LookupProblem.self) { try find(suffix: "red", allowsPlain: false) }
        #expect(problem?.description.contains("--insecure-discovery") == true)
    }
}

struct EndpointRefreshTests {
    private let a = EndpointDiscovery.Endpoint(isSecure: true, record: ServiceRecord(port: 1, target: "a"))
    private let b = EndpointDiscovery.Endpoint(isSecure: false, record: ServiceRecord(port: 2, target: "b"))
    private let failure = Result<FoundEndpoints<EndpointDiscovery.Endpoint>, LookupProblem>.failure(
        LookupProblem("no answer", isAbsence: false))

    @Test func onlyAChangeIsTold() {
        var refresh = EndpointRefresh<EndpointDiscovery.Endpoint>(interval: .seconds(30))
        #expect(refresh.looked(.success(.init(endpoints: [a, b], isComplete: true))) == [a, b])
        #expect(refresh.looked(.success(.init(endpoints: [b, a], isComplete: true))) == nil)
        #expect(refresh.wait == .seconds(30))
        #expect(refresh.looked(.success(.init(endpoints: [b], isComplete: true))) == [b])
    }

    @Test func whatFailsTakesNothingAwayAndIsAskedAgainSoon() {
        var refresh = EndpointRefresh<EndpointDiscovery.Endpoint>(interval: .seconds(30))
        _ = refresh.looked(.success(.init(endpoints: [a], isComplete: true)))
        #expect(refresh.looked(failure) == nil)
        #expect(refresh.wait == .seconds(1))
        // Half an answer adds what it names.
        #expect(refresh.looked(.success(.init(endpoints: [b], isComplete: false))) == [b, a])
        #expect(refresh.wait == .seconds(2))
        for _ in 0..<10 { _ = refresh.looked(failure) }
        #expect(refresh.wait == .seconds(30))
        _ = refresh.looked(.success(.init(endpoints: [a], isComplete: true)))
        #expect(refresh.wait == .seconds(30))
    }

    @Test func withoutAnIntervalItIsAskedUntilThereIsAnAnswer() {
        var refresh = EndpointRefresh<EndpointDiscovery.Endpoint>(interval: .zero)
        #expect(refresh.looked(failure) == nil && refresh.wait == .seconds(1))
        #expect(refresh.looked(.success(.init(endpoints: [a], isComplete: true))) == [a])
        #expect(refresh.wait == nil)
    }
}
