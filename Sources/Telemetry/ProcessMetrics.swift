import Glibc

/// Metrics of the process itself, read from `/proc/self` at each scrape: the names and meanings of Go's process collector, and
/// etcd's `os_fd_*`.
///
/// Go's `go_*` metrics do not apply: there is no garbage collector, no scheduler of goroutines and no Go heap to report on.
public enum ProcessMetrics {
    public static func register(_ registry: MetricsRegistry) {
        let names: [(name: String, help: String, kind: MetricKind)] = [
            ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", .counter),
            ("process_open_fds", "Number of open file descriptors.", .gauge),
            ("process_max_fds", "Maximum number of open file descriptors.", .gauge),
            ("process_virtual_memory_bytes", "Virtual memory size in bytes.", .gauge),
            ("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.", .gauge),
            ("process_resident_memory_bytes", "Resident memory size in bytes.", .gauge),
            ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", .gauge),
            ("process_network_receive_bytes_total", "Number of bytes received by the process over the network.", .counter),
            ("process_network_transmit_bytes_total", "Number of bytes sent by the process over the network.", .counter),
            ("os_fd_used", "The number of used file descriptors.", .gauge),
            ("os_fd_limit", "The file descriptor limit.", .gauge),
        ]
        registry.readTogether(names) { read().map { $0.values } }
    }

    struct Reading {
        var cpuSeconds = 0.0
        var openFiles = 0.0
        var maximumFiles = 0.0
        var virtualBytes = 0.0
        var maximumVirtualBytes = 0.0
        var residentBytes = 0.0
        var startTime = 0.0
        var receivedBytes = 0.0
        var sentBytes = 0.0

        /// In the order of registration.
        var values: [Double] {
            [
                cpuSeconds, openFiles, maximumFiles, virtualBytes, maximumVirtualBytes, residentBytes, startTime, receivedBytes,
                sentBytes, openFiles, maximumFiles,
            ]
        }
    }

    /// One look at `/proc`, or nil where it cannot be read.
    static func read() -> Reading? {
        guard let stat = procText("/proc/self/stat"), let close = stat.lastIndex(of: ")") else { return nil }
        // Fields after the program's name in parentheses; field 3 of proc(5) comes first.
        let fields = stat[stat.index(after: close)...].split(whereSeparator: { $0 == " " || $0 == "\n" }).map { Double($0) }
        func field(_ number: Int) -> Double { number - 3 < fields.count ? fields[number - 3] ?? 0 : 0 }
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        var reading = Reading()
        reading.cpuSeconds = (field(14) + field(15)) / ticks
        reading.virtualBytes = field(23)
        reading.residentBytes = field(24) * Double(sysconf(Int32(_SC_PAGESIZE)))
        reading.startTime = bootTime() + field(22) / ticks
        reading.openFiles = openFileCount()
        reading.maximumFiles = limit(RLIMIT_NOFILE)
        reading.maximumVirtualBytes = limit(RLIMIT_AS)
        (reading.receivedBytes, reading.sentBytes) = networkBytes()
        return reading
    }

    private static func limit(_ resource: __rlimit_resource) -> Double {
        var value = rlimit()
        guard getrlimit(__rlimit_resource_t(resource.rawValue), &value) == 0 else { return 0 }
        return Double(value.rlim_cur)
    }

    /// Seconds since 1970 at which the machine started.
    private static func bootTime() -> Double {
        guard let text = procText("/proc/stat") else { return 0 }
        for line in text.split(separator: "\n") where line.hasPrefix("btime ") { return Double(line.dropFirst(6)) ?? 0 }
        return 0
    }

    private static func openFileCount() -> Double {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while let entry = readdir(directory) {
            // Names of descriptors are numbers; "." and ".." are not counted.
            if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
        }
        // One of them is the directory that is being read.
        return Double(count - 1)
    }

    /// Bytes in and out of the process's network namespace: the `IpExt` lines of `/proc/self/net/netstat`, names above values.
    private static func networkBytes() -> (received: Double, sent: Double) {
        guard let text = procText("/proc/self/net/netstat") else { return (0, 0) }
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("IpExt: ") }.map { $0.split(separator: " ") }
        guard lines.count == 2 else { return (0, 0) }
        var bytes = (received: 0.0, sent: 0.0)
        for (name, value) in zip(lines[0], lines[1]) {
            if name == "InOctets" { bytes.received = Double(value) ?? 0 }
            if name == "OutOctets" { bytes.sent = Double(value) ?? 0 }
        }
        return bytes
    }

    /// The text of a file under `/proc`, up to 64 KiB of it.
    private static func procText(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var length = 0
        while length < buffer.count {
            // The slice's memory is valid for the call, and `length` stays below its size.
            let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress! + length, $0.count - length) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            length += count
        }
        return String(decoding: buffer[..<length], as: UTF8.self)
    }
}
