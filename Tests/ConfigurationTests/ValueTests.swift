import Testing

@testable import Configuration

struct ValueTests {
    @Test(
        arguments: [
            ("0", 0), ("42", 42), ("0x1F", 31), ("0o17", 15), ("017", 15), ("0b101", 5), ("1_000", 1_000), ("_1", nil),
            ("0x_1F", 31), ("0_7", 7),
            ("18446744073709551615", .max), ("18446744073709551616", nil), ("", nil), ("-1", nil), ("+1", nil), ("1.5", nil),
            ("0x", nil),
            ("08", nil), ("1_", nil), ("0x1__2", nil), (" 1", nil),
        ] as [(String, UInt64?)])
    func unsignedNumbersAreGos(_ text: String, _ expected: UInt64?) {
        #expect((try? NumberText.unsigned(text)) == expected)
    }

    @Test(
        arguments: [
            ("-9223372036854775808", .min), ("9223372036854775807", .max), ("9223372036854775808", nil), ("-0x10", -16),
            ("+7", 7),
            ("-", nil), ("--1", nil),
        ] as [(String, Int64?)])
    func signedNumbersAreGos(_ text: String, _ expected: Int64?) {
        #expect((try? NumberText.signed(text)) == expected)
    }

    @Test func tooLargeAndMalformedDiffer() {
        #expect(throws: ValueProblem.range) { try NumberText.unsigned("99999999999999999999") }
        #expect(throws: ValueProblem.syntax) { try NumberText.unsigned("99999999999999999999x") }
        #expect(throws: ValueProblem.range) { try NumberText.unsigned("256", bits: 8) }
    }

    @Test(
        arguments: [
            ("0", 0), ("5s", 5_000_000_000), ("1h30m", 5_400_000_000_000), ("1.5ms", 1_500_000), ("-2us", -2_000),
            ("3\u{B5}s", 3_000),
            ("3\u{3BC}s", 3_000), (".5s", 500_000_000), ("1.s", 1_000_000_000), ("+7ns", 7), ("9223372036854775807ns", .max),
            ("-9223372036854775808ns", .min), ("9223372036854775808ns", nil), ("", nil), ("5", nil), ("s", nil), (".s", nil),
            ("5d", nil),
            ("1h 2m", nil), ("99999999999999999999h", nil), ("3000000h", nil),
        ] as [(String, Int64?)])
    func durationsAreGos(_ text: String, _ expected: Int64?) {
        #expect((try? DurationText.nanoseconds(text)) == expected)
    }

    @Test(
        arguments: [
            (0, "0s"), (1, "1ns"), (1_100, "1.1\u{B5}s"), (2_200_000, "2.2ms"), (3_300_000_000, "3.3s"),
            (300_000_000_000, "5m0s"),
            (7_200_000_000_000, "2h0m0s"), (5_405_001_000_000, "1h30m5.001s"), (-1_500_000_000, "-1.5s"), (-5, "-5ns"),
        ] as [(Int64, String)])
    func durationsAreWrittenAsGoDoes(_ nanoseconds: Int64, _ expected: String) {
        #expect(DurationText.text(.nanoseconds(nanoseconds)) == expected)
    }

    @Test(
        arguments: [
            ("http://localhost:2379", "http", "localhost", 2379), (" http://127.0.0.1:80 ", "http", "127.0.0.1", 80),
            ("HTTPS://[::1]:443", "https", "::1", 443), ("http://:1", "http", "", 1), ("http://a:", "http", "a", 0),
        ] as [(String, String, String, UInt16)])
    func urlsAreTakenApart(_ text: String, _ scheme: String, _ host: String, _ port: UInt16) throws {
        let url = try EndpointURL.parse(text)
        #expect(url.scheme.rawValue == scheme)
        #expect(url.host == host)
        #expect(url.port == port)
    }

    @Test(arguments: [
        ("foo", "URL scheme must be http, https, unix, or unixs: foo"),
        ("localhost:2379", "URL scheme must be http, https, unix, or unixs: localhost:2379"),
        ("ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1"),
        ("127.0.0.1:1", "parse \"127.0.0.1:1\": first path segment in URL cannot contain colon"),
        (":1", "parse \":1\": missing protocol scheme"),
        ("http://localhost", "URL address does not have the form \"host:port\": http://localhost"),
        ("http:localhost:1", "URL address does not have the form \"host:port\": http:localhost:1"),
        ("http://::1:2379", "URL address does not have the form \"host:port\": http://::1:2379"),
        ("http://a:1/", "URL must not contain a path: http://a:1/"),
        ("http://a:1/b", "URL must not contain a path: http://a:1/b"),
        ("http://a:b", "parse \"http://a:b\": invalid port \":b\" after host"),
        ("http://a:99999", "parse \"http://a:99999\": invalid port \":99999\" after host"),
        ("http://a b:1", "parse \"http://a b:1\": invalid character \" \" in host name"),
        ("http://u@a:1", "URL must not contain a query, a fragment or a user: http://u@a:1"),
        ("unix://", "URL must name a socket's path: unix://"),
        ("http://a\n:1", "parse \"http://a\\n:1\": net/url: invalid control character in URL"),
        ("", "URL scheme must be http, https, unix, or unixs: "),
    ])
    func badURLsAreRefusedInEtcdsWords(_ text: String, _ reason: String) {
        #expect(throws: ValueProblem(reason: reason)) { try EndpointURL.parse(text) }
    }

    @Test func urlListsAreSortedAndUnique() throws {
        let urls = try EndpointURL.parseList("http://b:1,http://a:1,http://b:1")
        #expect(urls.map { $0.description } == ["http://a:1", "http://b:1"])
        #expect(urls[0].authority == "a:1")
        #expect(try EndpointURL.parse("http://[::1]:5").authority == "[::1]:5")
    }

    @Test func gatesFollowTheirStages() throws {
        var gates = FeatureGates()
        #expect(gates.isEnabled(.transactionSharedBuffer))
        #expect(!gates.isEnabled(.leaseCheckpoint))
        try gates.parse("AllAlpha=true,LeaseCheckpoint=false, AllBeta = false")
        #expect(!gates.isEnabled(.leaseCheckpoint))
        #expect(gates.isEnabled(.compactHashCheck))
        #expect(!gates.isEnabled(.fastLeaseKeepAlive))
        for (text, reason) in [
            ("X=true", "unrecognized feature gate: X"), ("CompactHashCheck", "missing bool value for CompactHashCheck"),
            ("CompactHashCheck=2", "invalid value of CompactHashCheck=2: must be true or false"),
        ] {
            #expect(throws: ValueProblem(reason: reason)) { try gates.parse(text) }
        }
    }
}
