import Forwarding
import Testing

/// What requests over HTTP/1.1 may be done with: etcd's JSON gateway under its three prefixes, its pages, and the v2 API.
@Suite struct PlainRequestKindTests {
    private func kind(_ method: String, _ path: String, _ query: String = "") -> PlainRequestKind {
        PlainRequestKind(method: method, path: path, query: query)
    }

    @Test(arguments: ["/v3/", "/v3beta/", "/v3alpha/"])
    func readsOfTheGatewayAreReadsAlthoughTheyArePosted(prefix: String) {
        for call in [
            "kv/range", "lease/timetolive", "kv/lease/leases", "cluster/member/list", "auth/user/list", "election/leader",
        ] {
            let kind = kind("POST", prefix + call)
            #expect(!kind.isWrite && kind.repeats == .always && !kind.streams && !kind.isMemberSpecific, "\(prefix)\(call)")
        }
    }

    /// A transaction that only reads cannot be told from others without its body, and counts as a write.
    @Test func whateverElseIsPostedIsAWrite() {
        let calls = [
            "kv/put", "kv/deleterange", "kv/txn", "kv/compaction", "lease/grant", "lease/revoke", "cluster/member/add", "new/one",
        ]
        for call in calls {
            let kind = kind("POST", "/v3/" + call)
            #expect(kind.isWrite && kind.repeats == .ifNeverProcessed && !kind.isMemberSpecific, "\(call)")
        }
        #expect(kind("POST", "/nothing/of/etcd").isWrite)
    }

    @Test func whatSpeaksOfOneMemberDoesNotMove() {
        for (call, isWrite) in [("status", false), ("hash", false), ("snapshot", false), ("defragment", true), ("alarm", true)] {
            let kind = kind("POST", "/v3/maintenance/" + call)
            #expect(kind.isMemberSpecific && kind.repeats == .ifNeverProcessed && kind.isWrite == isWrite, "\(call)")
        }
    }

    @Test func streamsAreNotHeldBack() {
        for call in ["watch", "lease/keepalive", "maintenance/snapshot", "election/observe"] {
            #expect(kind("POST", "/v3/" + call).streams, "\(call)")
        }
        #expect(!kind("POST", "/v3/watch").isWrite)
    }

    @Test func pagesAreReads() {
        for path in ["/metrics", "/version", "/health", "/v3"] {
            #expect(kind("GET", path).repeats == .always && !kind("GET", path).isWrite && !kind("GET", path).isV2, "\(path)")
        }
    }

    @Test func keysOfTheOldAPI() {
        let read = kind("GET", "/v2/keys/a", "quorum=true&wait=false")
        #expect(read.isV2 && !read.isWrite && read.repeats == .always && !read.streams)
        for query in ["wait=true", "recursive=true&wait=true&waitIndex=5", "wait=true&stream=true", "wait", "wait=1"] {
            let poll = kind("GET", "/v2/keys/a", query)
            #expect(poll.streams && !poll.isWrite && poll.repeats == .ifNeverProcessed, "\(query)")
        }
        for method in ["PUT", "POST", "DELETE"] {
            let write = kind(method, "/v2/keys/a")
            #expect(write.isV2 && write.isWrite && write.repeats == .ifNeverProcessed, "\(method)")
        }
    }
}
