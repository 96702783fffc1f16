import Glibc

@testable import Telemetry

/// Lines of a file beside the tests.
func fixture(_ name: String) -> [String] {
    let directory = String(#filePath.prefix(through: #filePath.lastIndex(of: "/")!))
    return fileText(directory + "Fixtures/" + name).split(separator: "\n").map { String($0) }
}

func fileText(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
        bytes += buffer[..<count]
    }
}

func text(_ registry: MetricsRegistry) -> String { String(decoding: registry.render(), as: UTF8.self) }

/// A directory that exists for one test.
final class TemporaryDirectory {
    let path: String

    init() {
        var template = Array("/tmp/telemetry-tests-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template)!)
    }

    var names: [String] {
        guard let handle = opendir(path) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    deinit {
        for name in names { unlink(path + "/" + name) }
        rmdir(path)
    }
}

/// The gRPC methods that etcd 3.5.30 serves.
let etcdMethods: [GRPCMethod] = fixture("etcd-3.5.30-grpc-started.txt").map { line in
    func value(_ label: String) -> String {
        let start = line.range(of: label + "=\"")
        return String(line[start...].prefix { $0 != "\"" })
    }
    return GRPCMethod(value("grpc_service"), value("grpc_method"), GRPCMethod.Kind(rawValue: value("grpc_type"))!)
}

extension String {
    /// Where the text after the first occurrence of `needle` begins.
    func range(of needle: String) -> Index {
        var index = startIndex
        while index < endIndex, !self[index...].hasPrefix(needle) { index = self.index(after: index) }
        return self.index(index, offsetBy: needle.count)
    }
}
