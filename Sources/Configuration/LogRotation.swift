/// How a log file is rotated: `--log-rotation-config-json`, the fields of the lumberjack library that etcd uses.
public struct LogRotation: Sendable, Equatable {
    /// Megabytes (of 1024 * 1024 bytes) that the file may grow to; 0 stands for 100.
    public var maxSizeMegabytes = 100
    /// Days that rotated files are kept; 0 for all.
    public var maxAgeDays = 0
    /// Rotated files that are kept; 0 for all.
    public var maxBackups = 0
    public var localTime = false
    public var compress = false

    public init() {}

    static let defaultJSON = #"{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}"#

    /// Reads the JSON object, which is YAML too. Names are compared without case, unknown ones are passed over, as Go does.
    static func parse(_ json: String) throws(ValueProblem) -> LogRotation {
        let root: YAMLNode?
        do {
            root = trimmed(json).hasPrefix("{") ? try YAMLNode.parse(Array(json.utf8)) : nil
        } catch {
            throw ValueProblem(reason: "improperly formatted log rotation config: \(error.reason)")
        }
        guard case .mapping(let entries, _)? = root else {
            throw ValueProblem(reason: "improperly formatted log rotation config: a JSON object is expected")
        }
        var rotation = LogRotation()
        for entry in entries {
            guard case .scalar(let text, _, _) = entry.value else {
                throw ValueProblem(reason: "invalid log rotation config: \(entry.key) must be a single value")
            }
            let invalid = ValueProblem(reason: "invalid log rotation config: \(entry.key) cannot be \(goQuoted(text))")
            func number() throws(ValueProblem) -> Int {
                guard let value = Int(text), value >= 0 else { throw invalid }
                return value
            }
            func truth() throws(ValueProblem) -> Bool {
                guard text == "true" || text == "false" else { throw invalid }
                return text == "true"
            }
            switch entry.key.lowercased() {
            case "maxsize": rotation.maxSizeMegabytes = try number()
            case "maxage": rotation.maxAgeDays = try number()
            case "maxbackups": rotation.maxBackups = try number()
            case "localtime": rotation.localTime = try truth()
            case "compress": rotation.compress = try truth()
            default: continue
            }
        }
        if rotation.maxSizeMegabytes == 0 { rotation.maxSizeMegabytes = 100 }
        return rotation
    }
}
