import EtcdAPI
import MVCC
import StoreTestKit
import Testing
import Watch

/// A peer: what it was sent, and whether it reads.
final class Peer: WatchOutput {
    var isWritable = true
    private(set) var responses: [WatchResponse] = []

    func send(_ encoded: UnsafeRawBufferPointer) {
        do { responses.append(try WatchResponse(decoding: encoded)) } catch { Issue.record("not a response: \(error)") }
    }

    /// Everything sent since the last call.
    func take() -> [WatchResponse] {
        defer { responses = [] }
        return responses
    }
}

/// A hub over a store.
final class Bench {
    let data: TestStore
    let hub: WatchHub

    init(_ change: (inout WatchHub.Settings) -> Void = { _ in }) throws {
        data = try TestStore()
        var settings = WatchHub.Settings()
        change(&settings)
        hub = WatchHub(view: data.view, header: ResponseHeader(clusterId: 1, memberId: 2), settings: settings)
    }

    /// Lets the hub see what is new, and runs it until it has nothing to do.
    func deliver() throws {
        hub.advance(to: data.view, term: 3)
        while try hub.step() {}
    }

    func write(_ operations: TestStore.Operation...) throws {
        data.write(operations)
        try deliver()
    }

    func watch(_ stream: WatchStream, _ request: WatchCreateRequest) throws {
        hub.handle(WatchRequest(requestUnion: .createRequest(request)), on: stream)
        try deliver()
    }
}

extension WatchCreateRequest {
    init(_ key: String, end: String = "", from revision: Int64 = 0) {
        self.init()
        self.key = Array(key.utf8)
        rangeEnd = Array(end.utf8)
        startRevision = revision
    }
}

extension WatchResponse {
    /// Keys and values, `-` for deletions.
    var summary: [String] {
        events.map { event in
            let key = String(decoding: event.kv!.key, as: UTF8.self)
            return event.type == .delete ? "-\(key)" : "\(key)=\(String(decoding: event.kv!.value, as: UTF8.self))"
        }
    }
}
