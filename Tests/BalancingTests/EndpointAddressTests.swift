import Balancing
import Testing

struct EndpointAddressTests {
    @Test(arguments: [
        ("127.0.0.1:2379", "http://127.0.0.1:2379"), ("a", "http://a:2379"), ("https://a:1", "https://a:1"),
        (" a:1\n", "http://a:1"),
        ("[::1]:5", "http://[::1]:5"), ("https://[fe80::1%eth0]", "https://[fe80::1%eth0]:2379"), ("http://a:1/", "http://a:1"),
        ("unix:///run/e.sock", "unix:///run/e.sock"), ("unixs:relative", "unixs://relative"), ("HTTPS://a:1", "https://a:1"),
    ])
    func reads(_ text: String, _ expected: String) throws {
        #expect(try EndpointAddress(parsing: text).description == expected)
        // What is written reads back as the same.
        #expect(try EndpointAddress(parsing: expected).description == expected)
    }

    @Test(arguments: [
        "", " ", ":2379", "a:0", "a:65536", "a:x", "::1:5", "[::1", "[::1]5", "ftp://a:1", "a b:1", "unix:", "http://a:1/path",
    ])
    func refuses(_ text: String) {
        #expect(throws: AddressProblem.self) { try EndpointAddress(parsing: text) }
    }

    @Test func schemeIsTheDefaultOneOnlyWhereNoneIsGiven() throws {
        #expect(try EndpointAddress(parsing: "a:1", defaultScheme: .https).isSecure)
        #expect(try !EndpointAddress(parsing: "http://a:1", defaultScheme: .https).isSecure)
    }

    /// What has a loopback address's first letters is somebody else's name.
    @Test func loopbackAddresses() throws {
        for text in ["127.0.0.1:1", "127.9.9.9", "localhost:1", "[::1]:1", "unix:/a"] {
            #expect(try EndpointAddress(parsing: text).isLoopback, "\(text)")
        }
        for text in [
            "127.example:1", "127.0.0.1.example", "10.127.0.1", "0.0.0.0:1", "[::]:1", "localhost.example:1", "128.0.0.1",
        ] {
            #expect(try !EndpointAddress(parsing: text).isLoopback, "\(text)")
        }
    }

    @Test func patterns() throws {
        let address = try EndpointAddress(parsing: "10.1.2.3:2379")
        let named = try EndpointAddress(parsing: "etcd-1.zone-a.example:2379")
        #expect(AddressPattern("10.1.0.0/16")?.matches(address) == true)
        #expect(AddressPattern("10.2.0.0/16")?.matches(address) == false)
        #expect(AddressPattern("0.0.0.0/0")?.matches(address) == true)
        #expect(AddressPattern("10.1.2.3/32")?.matches(address) == true)
        #expect(AddressPattern(".zone-a.example")?.matches(named) == true)
        #expect(AddressPattern(".zone-b.example")?.matches(named) == false)
        #expect(AddressPattern("10.1.2.3:2379")?.matches(address) == true)
        #expect(AddressPattern("10.0.0.0/33") == nil && AddressPattern("10.0.0/8") == nil && AddressPattern("") == nil)
    }
}
