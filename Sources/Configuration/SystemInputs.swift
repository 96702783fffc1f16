import Glibc

extension ConfigurationInputs {
    /// A file larger than this is no configuration.
    private static let maximumFileBytes = 1 << 20

    /// The real environment, files and network interfaces.
    public static func system(arguments: [String]) -> ConfigurationInputs {
        ConfigurationInputs(
            arguments: arguments, environment: systemEnvironment(),
            readFile: { path throws(FileProblem) in try readWholeFile(path) }, defaultHost: defaultRouteHost)
    }

    private static func systemEnvironment() -> [String: String] {
        var environment: [String: String] = [:]
        // The C library's array of `NAME=VALUE` pointers ends with a null; nothing changes it while a configuration is read at
        // start.
        var entry = environ
        while let text = entry.pointee {
            let pair = String(cString: text)
            let name = pair.prefix { $0 != "=" }
            if name.count < pair.count { environment[String(name)] = String(pair.dropFirst(name.count + 1)) }
            entry += 1
        }
        return environment
    }

    private static func readWholeFile(_ path: String) throws(FileProblem) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileProblem(reason: errorText(errno)) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw FileProblem(reason: errorText(errno))
            }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
            guard bytes.count <= maximumFileBytes else { throw FileProblem(reason: "larger than \(maximumFileBytes) bytes") }
        }
    }

    /// The C library's text in lower case, as Go writes it.
    private static func errorText(_ code: Int32) -> String {
        String(cString: strerror(code)).lowercased()
    }

    /// The first IPv4 address of the interface with the default route, as etcd chooses it. etcd falls back to IPv6; a listener on
    /// `0.0.0.0` is IPv4, so this does not.
    private static func defaultRouteHost() -> String? {
        guard let bytes = try? readWholeFile("/proc/self/net/route") else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").dropFirst()
        // Columns: interface, destination, gateway, flags, reference count, use, metric, mask.
        let routes = lines.map { $0.split(whereSeparator: { $0 == "\t" || $0 == " " }) }
        guard let route = routes.last(where: { $0.count > 7 && $0[1] == "00000000" && $0[7] == "00000000" }) else { return nil }
        return address(ofInterface: String(route[0]))
    }

    private static func address(ofInterface name: String) -> String? {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return nil }
        defer { freeifaddrs(list) }
        var entry = list
        // The list and what it points to live until freeifaddrs; each entry's address has the size its family says.
        while let interface = entry {
            entry = interface.pointee.ifa_next
            guard String(cString: interface.pointee.ifa_name) == name, let address = interface.pointee.ifa_addr,
                address.pointee.sa_family == sa_family_t(AF_INET)
            else { continue }
            var binary = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { $0.pointee.sin_addr }
            var text = [CChar](repeating: 0, count: Int(INET_ADDRSTRLEN))
            guard inet_ntop(AF_INET, &binary, &text, socklen_t(INET_ADDRSTRLEN)) != nil else { return nil }
            return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        return nil
    }
}
