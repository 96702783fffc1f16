import HTTP2
import Testing

@testable import ClientAPI

@Suite struct AccessRulesTests {
    @Test(arguments: [
        ("a", "a"), ("a:1", "a"), ("[::1]:80", "::1"), ("[::1]", "[::1]"), ("::1", "::1"), ("", ""), (":80", ""),
        ("a:b:c", "a:b:c"),
    ]) func hostsAreTakenApartAsGoDoes(host: String, name: String) {
        #expect(AccessRules.hostname(host) == name)
    }

    @Test func onlyListedHostsAndOriginsMayCall() {
        let rules = AccessRules(origins: ["http://a"], hosts: ["h"])
        #expect(rules.refusal(host: "h:2379") == nil)
        #expect(rules.refusal(host: "evil")?.contains("--host-whitelist \"evil\"") == true)
        #expect(rules.refusal(host: nil) != nil)
        #expect(rules.fields(origin: "http://b").isEmpty && rules.fields(origin: nil).isEmpty)
        #expect(rules.fields(origin: "http://a").contains { $0.value == "http://a" })
        #expect(AccessRules().refusal(host: "anything") == nil)
        #expect(AccessRules(origins: [], hosts: []).fields(origin: nil).contains { $0.value == "*" })
    }
}
