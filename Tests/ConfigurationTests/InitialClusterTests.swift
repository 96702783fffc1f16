import Testing

@testable import Configuration

struct InitialClusterTests {
    private func configuration(_ cluster: String, advertise: String, name: String = "a") throws -> MemberConfiguration {
        try configured(["--name=\(name)", "--initial-cluster=\(cluster)", "--initial-advertise-peer-urls=\(advertise)"])
            .configuration
    }

    @Test func membersAreGroupedByNameAndSorted() throws {
        let members = try configuration("b=http://h:2,a=http://h:9,,a=http://h:1", advertise: "http://h:1").initialMembers()
        #expect(members.map { $0.name } == ["a", "b"])
        #expect(members[0].peerURLs.map { $0.description } == ["http://h:1", "http://h:9"])
    }

    /// Texts of etcd 3.5.30 for the same settings.
    @Test(arguments: [
        ("x=http://x:1", "http://127.0.0.1:1", "couldn't find local name \"a\" in the initial cluster configuration"),
        (
            "a=http://127.0.0.1:1,a=http://127.0.0.1:2", "http://127.0.0.1:1",
            "--initial-cluster has a=http://127.0.0.1:2 but missing from --initial-advertise-peer-urls=http://127.0.0.1:1 "
                + "(len([\"http://127.0.0.1:1\"]) != len([\"http://127.0.0.1:1\" \"http://127.0.0.1:2\"]))"
        ),
        (
            "a=http://127.0.0.1:2", "http://127.0.0.1:1,http://127.0.0.1:2",
            "--initial-advertise-peer-urls has http://127.0.0.1:1 but missing from "
                + "--initial-cluster=a=http://127.0.0.1:1,a=http://127.0.0.1:2"
        ),
        (
            "a=http://127.0.0.1:2,b=http://127.0.0.1:2", "http://127.0.0.1:2",
            "initial cluster a=http://127.0.0.1:2,b=http://127.0.0.1:2 has duplicate url"
        ),
        ("a", "http://127.0.0.1:2", "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: "),
    ])
    func foundingIsRefusedInEtcdsWords(_ cluster: String, _ advertise: String, _ message: String) throws {
        let configuration = try configuration(cluster, advertise: advertise)
        do {
            _ = try configuration.verifyBootstrap { _ in nil }
            Issue.record("accepted")
        } catch {
            #expect(error.message == message)
        }
    }

    @Test func namesAndAddressesOfTheSameHostMatch() throws {
        let configuration = try configuration("a=http://host:1,b=http://10.0.0.2:1", advertise: "http://10.0.0.1:1")
        #expect(try configuration.verifyBootstrap { $0 == "host" ? "10.0.0.1" : nil }.count == 2)
        #expect(throws: ConfigurationError.self) { _ = try configuration.verifyBootstrap { _ in "10.0.0.3" } }
        #expect(throws: ConfigurationError.self) { _ = try configuration.verifyBootstrap { _ in nil } }
    }

    @Test func equalURLsAreNotResolved() throws {
        let configuration = try configuration("a=http://host:1", advertise: "http://host:1")
        let members = try configuration.verifyBootstrap { host in
            Issue.record("\(host) was resolved")
            return nil
        }
        #expect(members.map { $0.name } == ["a"])
    }

    @Test func joiningLooksOnlyForTheOwnName() throws {
        let members = try configuration("a=http://other:1,b=http://h:2", advertise: "http://h:1").verifyJoinExisting()
        #expect(members.count == 2)
        #expect(throws: ConfigurationError.self) {
            _ = try configuration("b=http://h:2", advertise: "http://h:1").verifyJoinExisting()
        }
    }
}
