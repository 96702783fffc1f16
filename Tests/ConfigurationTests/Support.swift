import Glibc

@testable import Configuration

extension ConfigurationInputs {
    /// In memory.
    init(_ arguments: [String], _ environment: [String: String], files: [String: String], host: String? = nil) {
        self.init(
            arguments: arguments, environment: environment,
            readFile: { path throws(FileProblem) in
                guard let text = files[path] else { throw FileProblem(reason: "no such file or directory") }
                return Array(text.utf8)
            }, defaultHost: { host })
    }
}

/// Reads a configuration from in-memory inputs.
func request(
    _ arguments: [String] = [], environment: [String: String] = [:], files: [String: String] = [:], host: String? = nil
) throws(ConfigurationError) -> MemberRequest {
    let inputs = ConfigurationInputs(arguments, environment, files: files, host: host)
    return try readMemberConfiguration(inputs, version: BuildVersion(version: "0.1.0", revision: "abc"))
}

/// The configuration and what it had to say, where a member is to run.
func configured(
    _ arguments: [String] = [], environment: [String: String] = [:], files: [String: String] = [:], host: String? = nil
) throws -> (configuration: MemberConfiguration, notices: [ConfigurationNotice]) {
    guard case .run(let configuration, let notices) = try request(arguments, environment: environment, files: files, host: host)
    else {
        throw NotAMember()
    }
    return (configuration, notices)
}

struct NotAMember: Error {}

/// The configuration of a file with this text.
func configured(file text: String) throws -> (configuration: MemberConfiguration, notices: [ConfigurationNotice]) {
    try configured(["--config-file", "etcd.yaml"], files: ["etcd.yaml": text])
}

/// Why a configuration was refused, or nil when it was not.
func refusal(
    _ arguments: [String] = [], environment: [String: String] = [:], files: [String: String] = [:]
) -> ConfigurationError? {
    do {
        _ = try request(arguments, environment: environment, files: files)
        return nil
    } catch {
        return error
    }
}

func refusal(file text: String) -> ConfigurationError? {
    refusal(["--config-file", "etcd.yaml"], files: ["etcd.yaml": text])
}

/// Lines of a file beside the tests, split at blanks or tabs.
func fixture(_ name: String, separator: Character = " ") throws -> [[String]] {
    let directory = String(#filePath.prefix(through: #filePath.lastIndex(of: "/")!))
    let bytes = try ConfigurationInputs.system(arguments: []).readFile(directory + "Fixtures/" + name)
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        .map { $0.split(separator: separator, omittingEmptySubsequences: false).map { String($0) } }
}
