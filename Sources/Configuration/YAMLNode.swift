import CYAML

/// A YAML document as far as configuration files need it, with lines for error messages.
indirect enum YAMLNode {
    case scalar(text: String, isPlain: Bool, line: Int)
    case sequence([YAMLNode], line: Int)
    case mapping([(key: String, keyLine: Int, value: YAMLNode)], line: Int)

    var line: Int {
        switch self {
        case .scalar(_, _, let line), .sequence(_, let line), .mapping(_, let line): return line
        }
    }

    /// Written as nothing, `~` or `null`.
    var isNull: Bool {
        guard case .scalar(let text, let isPlain, _) = self else { return false }
        return isPlain && ["", "~", "null", "Null", "NULL"].contains(text)
    }
}

/// Why a file is not YAML, or not YAML that can be a configuration.
struct YAMLProblem: Error {
    /// Counted from 1.
    let line: Int
    let reason: String
}

extension YAMLNode {
    /// Levels of nesting that are followed; etcd's files have four.
    private static let maximumDepth = 16

    /// Reads the first document, or nil when there is none. Anchors are resolved; each alias counts its content again, so the
    /// number of nodes is bounded.
    static func parse(_ bytes: [UInt8]) throws(YAMLProblem) -> YAMLNode? {
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else { throw YAMLProblem(line: 1, reason: "out of memory") }
        defer { yaml_parser_delete(&parser) }
        let result: Result<YAMLNode?, YAMLProblem> = bytes.withUnsafeBufferPointer { input in
            // libyaml keeps the pointer until the document is loaded, which is inside this closure.
            yaml_parser_set_input_string(&parser, input.baseAddress, input.count)
            return Result { () throws(YAMLProblem) in try loadDocument(&parser) }
        }
        return try result.get()
    }

    private static func loadDocument(_ parser: inout yaml_parser_t) throws(YAMLProblem) -> YAMLNode? {
        var document = yaml_document_t()
        guard yaml_parser_load(&parser, &document) == 1 else {
            let problem = parser.problem.map { String(cString: $0) } ?? "unreadable"
            // Reader errors carry no mark; scanner and parser errors do.
            throw YAMLProblem(line: Int(parser.problem_mark.line) + 1, reason: problem)
        }
        defer { yaml_document_delete(&document) }
        guard let root = yaml_document_get_root_node(&document) else { return nil }
        var budget = 10_000
        return try convert(root, &document, depth: 0, &budget)
    }

    /// Copies one node of libyaml's document. The pointers stay valid until the document is deleted, after the copy is complete.
    private static func convert(
        _ node: UnsafeMutablePointer<yaml_node_t>, _ document: inout yaml_document_t, depth: Int, _ budget: inout Int
    ) throws(YAMLProblem) -> YAMLNode {
        let line = Int(node.pointee.start_mark.line) + 1
        budget -= 1
        guard depth < maximumDepth, budget > 0 else { throw YAMLProblem(line: line, reason: "nested too deeply or too large") }
        switch node.pointee.type {
        case YAML_SCALAR_NODE:
            let scalar = node.pointee.data.scalar
            let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            return .scalar(text: text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE, line: line)
        case YAML_SEQUENCE_NODE:
            let items = node.pointee.data.sequence.items
            let count = items.top - items.start
            var children: [YAMLNode] = []
            for index in 0..<count {
                guard let child = yaml_document_get_node(&document, items.start[index]) else { continue }
                children.append(try convert(child, &document, depth: depth + 1, &budget))
            }
            return .sequence(children, line: line)
        case YAML_MAPPING_NODE:
            let pairs = node.pointee.data.mapping.pairs
            var entries: [(key: String, keyLine: Int, value: YAMLNode)] = []
            for index in 0..<(pairs.top - pairs.start) {
                let pair = pairs.start[index]
                guard let key = yaml_document_get_node(&document, pair.key),
                    let value = yaml_document_get_node(&document, pair.value)
                else { continue }
                let keyNode = try convert(key, &document, depth: depth + 1, &budget)
                guard case .scalar(let text, _, let keyLine) = keyNode else {
                    throw YAMLProblem(line: keyNode.line, reason: "a key must be a single word")
                }
                guard text != "<<" else { throw YAMLProblem(line: keyLine, reason: "merge keys (<<) are not supported") }
                entries.append((text, keyLine, try convert(value, &document, depth: depth + 1, &budget)))
            }
            return .mapping(entries, line: line)
        default:
            throw YAMLProblem(line: line, reason: "unexpected content")
        }
    }
}
