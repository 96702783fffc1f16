import Balancing
import Bytes
import Configuration
import NIOCore
import NIOPosix
import ProxyTransport

/// `quorate proxy status`: what a running proxy says of its endpoints, as a table.
public enum ProxyStatusCommand {
    private static let usage = """
        Usage: quorate proxy status [--data-dir DIR | --url URL] [--json]

          --data-dir DIR   of the proxy to ask [default.proxy]
          --url URL        one of its --listen-metrics-urls, or of its --listen-client-urls with --mode http
          --json           print what /proxy/endpoints answers

        Exit code: 0 when an endpoint serves, 1 when none does, 2 when the proxy cannot be asked.

        """

    /// Prints and returns the exit code.
    public static func run(_ arguments: [String]) -> Int32 {
        var address = EndpointAddress(scheme: .unix, socketPath: "default.proxy/" + ProxyListeners.socketName)
        var printsJSON = false
        var rest = arguments[...]
        while let word = rest.popFirst() {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            let value = { parts.count > 1 ? parts[1] : rest.popFirst() }
            switch parts.first {
            case "--json": printsJSON = true
            case "--data-dir":
                guard let directory = value() else { return complain("--data-dir needs a directory") }
                address = EndpointAddress(scheme: .unix, socketPath: directory + "/" + ProxyListeners.socketName)
            case "--url":
                guard let text = value(), let url = try? EndpointAddress(parsing: text), !url.isSecure else {
                    return complain("--url needs http://HOST:PORT or unix://PATH")
                }
                address = url
            case "--help", "-h":
                print(usage, terminator: "")
                return 0
            default: return complain("unknown argument \"\(word)\"")
            }
        }
        return ask(address, printsJSON)
    }

    private static func complain(_ text: String) -> Int32 {
        print("quorate proxy status: \(text)\n\(usage)", terminator: "")
        return 2
    }

    private static func ask(_ address: EndpointAddress, _ printsJSON: Bool) -> Int32 {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let eventLoop = group.next()
        do {
            let text = try eventLoop.flatSubmit {
                PageFetcher(eventLoop: eventLoop, security: nil).get(address, "/proxy/endpoints", .seconds(5)).map(\.text)
            }.wait()
            let document = try JSON(parsing: text)
            print(printsJSON ? text : table(document), terminator: "")
            return document["serving"] == .bool(true) ? 0 : 1
        } catch {
            print("quorate proxy status: \(address) cannot be asked: \(error)")
            return 2
        }
    }

    /// One line an endpoint, in columns.
    static func table(_ document: JSON) -> String {
        guard case .array(let endpoints)? = document["endpoints"] else { return "" }
        let columns: [(title: String, value: (JSON) -> String)] = [
            ("ENDPOINT", { text($0["endpoint"]) }), ("STATE", { text($0["state"]) }), ("MEMBER", { text($0["member_id"]) }),
            ("LEADER", { text($0["is_leader"]) }), ("VERSION", { text($0["version"]) }), ("REVISION", { text($0["revision"]) }),
            ("PROBE MS", { text($0["probe_latency_ms"]) }), ("IN FLIGHT", { text($0["in_flight"]) }),
            ("SUCCEEDED", { text($0["succeeded"]) }), ("FAILED", { text($0["failed"]) }),
            ("EJECTIONS", { text($0["ejections"]) }), ("PROBLEM", { text($0["problem"]) }),
        ]
        let rows = [columns.map(\.title)] + endpoints.map { endpoint in columns.map { $0.value(endpoint) } }
        let widths = columns.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var out = "mode \(text(document["mode"])), cluster \(text(document["cluster_id"]))\n"
        for row in rows {
            let cells = row.enumerated().map { $0.element + String(repeating: " ", count: widths[$0.offset] - $0.element.count) }
            var line = cells.joined(separator: "  ")
            while line.hasSuffix(" ") { line.removeLast() }
            out += line + "\n"
        }
        return out
    }

    private static func text(_ value: JSON?) -> String {
        switch value {
        case .string(let text)?: text.isEmpty ? "-" : text
        case nil, .null?: "-"
        case let value?: value.text()
        }
    }
}
