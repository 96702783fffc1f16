import Glibc
import Testing

@testable import Configuration

/// The same mistakes given to a real etcd. Run when `ETCD_REFERENCE_DIR` names a directory with `3.5.30/etcd` in it.
struct DifferentialTests {
    private static let etcd = getenv("ETCD_REFERENCE_DIR").map { String(cString: $0) + "/3.5.30/etcd" }

    struct Mistake: Sendable {
        var arguments: [String] = []
        var environment: [String: String] = [:]
        var file: String?
    }

    /// Mistakes that etcd finds before it opens a port.
    private static let mistakes: [Mistake] = [
        Mistake(arguments: ["--foo"]), Mistake(arguments: ["-foo=1"]), Mistake(arguments: ["--name"]),
        Mistake(arguments: ["---x"]),
        Mistake(arguments: ["--=x"]), Mistake(arguments: ["-"]), Mistake(arguments: ["--pre-vote", "false"]),
        Mistake(arguments: ["--heartbeat-interval", "abc"]), Mistake(arguments: ["--heartbeat-interval=-1"]),
        Mistake(arguments: ["--heartbeat-interval=99999999999999999999"]), Mistake(arguments: ["--heartbeat-interval=08"]),
        Mistake(arguments: ["--heartbeat-interval=1_"]), Mistake(arguments: ["--heartbeat-interval="]),
        Mistake(arguments: ["--pre-vote=maybe"]), Mistake(arguments: ["--initial-cluster-state=maybe"]),
        Mistake(arguments: ["--grpc-keepalive-min-time=5"]), Mistake(arguments: ["--grpc-keepalive-min-time=5d"]),
        Mistake(arguments: ["--quota-backend-bytes=1GiB"]), Mistake(arguments: ["--quota-backend-bytes=9223372036854775808"]),
        Mistake(arguments: ["--proxy=maybe"]), Mistake(arguments: ["--v2-deprecation=maybe"]),
        Mistake(arguments: ["--listen-client-urls=127.0.0.1:2379"]), Mistake(arguments: ["--listen-client-urls=localhost:2379"]),
        Mistake(arguments: ["--listen-client-urls=http://localhost"]), Mistake(arguments: ["--listen-client-urls=http://a:1/x"]),
        Mistake(arguments: ["--listen-client-urls=http://a:b"]), Mistake(arguments: ["--listen-client-urls=:1"]),
        Mistake(arguments: ["--listen-client-urls=http://1.2.3.4:1,foo"]), Mistake(arguments: ["--cors=foo"]),
        Mistake(arguments: ["--listen-client-urls=http://foo:2379"]), Mistake(arguments: ["--listen-peer-urls=http://:1"]),
        Mistake(arguments: ["--listen-metrics-urls=http://foo:1"]), Mistake(arguments: ["--listen-client-urls=http://1.2.3.4:1"]),
        Mistake(arguments: ["--initial-advertise-peer-urls=http://:1"]), Mistake(arguments: ["--heartbeat-interval=0"]),
        Mistake(arguments: ["--election-timeout=0"]), Mistake(arguments: ["--heartbeat-interval=300"]),
        Mistake(arguments: ["--election-timeout=50001"]), Mistake(arguments: ["--auto-compaction-mode=foo"]),
        Mistake(arguments: ["--tls-min-version=TLS1.1"]),
        Mistake(arguments: ["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"]),
        Mistake(arguments: ["--tls-min-version=TLS1.3", "--cipher-suites=TLS_AES_128_GCM_SHA256"]),
        Mistake(arguments: ["--logger=capnslog"]), Mistake(arguments: ["--logger=foo"]), Mistake(arguments: ["--log-level=foo"]),
        Mistake(arguments: ["--log-outputs=default,stdout"]), Mistake(arguments: ["--enable-log-rotation"]),
        Mistake(arguments: ["--name=b"], environment: ["ETCD_NAME": "a"]), Mistake(environment: ["ETCD_HEARTBEAT_INTERVAL": "x"]),
        Mistake(environment: ["ETCD_LISTEN_CLIENT_URLS": "foo"]), Mistake(environment: ["ETCD_CONFIG_FILE": "/nonexistent"]),
        Mistake(arguments: ["--config-file=/nonexistent"]), Mistake(file: "heartbeat-interval: 0\n"),
        Mistake(file: "listen-client-urls: foo\n"), Mistake(file: "tls-min-version: foo\n"),
        Mistake(file: "heartbeat-interval: -1\n"),
        Mistake(file: "pre-vote: maybe\n"), Mistake(file: "a: [b\n"), Mistake(file: "initial-cluster-state: foo\n"),
        Mistake(file: "log-level: foo\n"), Mistake(file: "grpc-keepalive-min-time: 5.5\n"),
    ]

    /// etcd's text appears in ours, and the exit codes agree.
    @Test(.enabled(if: etcd != nil), arguments: mistakes)
    func etcdRefusesTheSame(_ mistake: Mistake) throws {
        let etcd = try #require(Self.etcd)
        var arguments = mistake.arguments
        let directory = try #require(makeDirectory())
        defer { system("rm -rf \(directory)") }
        if let file = mistake.file {
            let path = directory + "/etcd.yaml"
            #expect(write(file, to: path))
            arguments.append("--config-file=\(path)")
        }
        let (exitCode, output) = try run(etcd, arguments, mistake.environment, in: directory)
        let files = mistake.file.map { [directory + "/etcd.yaml": $0] } ?? [:]
        let ours = try #require(refusal(arguments, environment: mistake.environment, files: files), "accepted here")
        #expect(ours.exitCode == exitCode)
        // The decoder that etcd reads files with describes types of Go; such texts are not taken over.
        guard let theirs = errorText(output), !theirs.contains("unmarshal"), !theirs.contains("converting YAML") else { return }
        // A file's choice is checked while it is read here, with its line.
        guard !theirs.contains("unexpected clusterState") else { return }
        let comparable = theirs.replacing("'", with: "\"")
        let text = ours.message.replacing("'", with: "\"")
        #expect(text.contains(comparable), "etcd says: \(theirs)\nhere: \(ours.message)")
    }

    /// The part of etcd's output that says what is wrong.
    private func errorText(_ output: String) -> String? {
        let lines = output.split(separator: "\n").map { String($0) }
        for line in lines where line.hasPrefix("{") {
            if line.contains("\"msg\":\"conflicting environment") {
                return "conflicting environment variable is shadowed by corresponding command-line flag"
            }
            guard line.contains("failed to verify flags"), case .mapping(let entries, _)? = try? YAMLNode.parse(Array(line.utf8)),
                case .scalar(let text, _, _)? = entries.first(where: { $0.key == "error" })?.value
            else { continue }
            return text
        }
        guard let first = lines.first(where: { !$0.hasPrefix("{") }) else { return nil }
        if first.hasPrefix("panic: ") { return String(first.dropFirst(7)) }
        if let colon = first.range(of: "unexpected error setting up listen-client-urls: ") { return String(first[colon...]) }
        return first
    }

    private func makeDirectory() -> String? {
        var template = Array("/tmp/configuration-tests-XXXXXX".utf8CString)
        return mkdtemp(&template).map { String(cString: $0) }
    }

    private func write(_ text: String, to path: String) -> Bool {
        let descriptor = open(path, O_CREAT | O_WRONLY, 0o600)
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        return Glibc.write(descriptor, bytes, bytes.count) == bytes.count
    }

    /// Runs a program to its end, ten seconds at most, and returns what it printed.
    private func run(
        _ program: String, _ arguments: [String], _ environment: [String: String], in directory: String
    ) throws -> (exitCode: Int32, output: String) {
        let outputPath = directory + "/output"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_CREAT | O_WRONLY | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let words = ["env", "-C", directory, "/usr/bin/timeout", "10", program] + arguments
        var argumentPointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var environmentPointers: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
        var process = pid_t()
        try #require(posix_spawn(&process, "/usr/bin/env", &actions, nil, &argumentPointers, &environmentPointers) == 0)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        let bytes = try ConfigurationInputs.system(arguments: []).readFile(outputPath)
        return ((status >> 8) & 0xFF, String(decoding: bytes, as: UTF8.self))
    }
}

extension String {
    fileprivate func replacing(_ old: Character, with new: Character) -> String { String(map { $0 == old ? new : $0 }) }

    /// Where the text after `needle` begins, if it is there.
    fileprivate func range(of needle: String) -> Index? {
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix(needle) { return self.index(index, offsetBy: needle.count) }
            index = self.index(after: index)
        }
        return nil
    }
}
