// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

func nio(_ product: String) -> Target.Dependency { .product(name: product, package: "swift-nio") }
let nioCore = nio("NIOCore")
let nioPosix = nio("NIOPosix")
let nioHTTP1 = nio("NIOHTTP1")
let nioEmbedded = nio("NIOEmbedded")

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

/// Files that tests read by path are no sources.
func tests(_ name: String, _ dependencies: [Target.Dependency], data: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: data, swiftSettings: strict)
}

// Arrows point down only; Sources/README.md tells what each room is for.
let rooms: [Target] = [
    .systemLibrary(name: "CHardware"),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "CNGHTTP2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CResolver"),
    .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    room("Bytes", ["CHardware"]),
    room("Host"),
    room("Raft", ["Host"]),
    room("EtcdAPI", ["Bytes"]),
    room("Records", ["Bytes", "Raft"]),
    room("WAL", ["Raft", "Records", "Host", "Bytes"]),
    room("PageStore", ["Host", "Bytes"]),
    room("Backend", ["PageStore", "Bytes"]),
    room("MVCC", ["Backend", "PageStore", "EtcdAPI", "Bytes"]),
    room("Watch", ["MVCC", "EtcdAPI", "Bytes"]),
    room("Lease", ["Host", "Bytes"]),
    room("Membership", ["Raft", "Records", "Bytes"]),
    room("StateMachine", ["MVCC", "Backend", "Lease", "Membership", "EtcdAPI", "Records", "Raft", "Host", "Bytes"]),
    room(
        "Member",
        [
            "StateMachine", "WAL", "MVCC", "Backend", "PageStore", "Lease", "Membership", "EtcdAPI", "Records", "Raft", "Host",
            "Bytes",
        ]),
    room("Balancing", ["Host"]),
    room("Discovery", ["CResolver"]),
    room("LinuxHost", ["Host", "CLinux"]),
    room("Systemd", ["CSystemd", "LinuxHost", "Telemetry", "Host"]),
    room("Polling", ["LinuxHost", "CLinux", nioCore, nioPosix]),
    room("HTTP2", ["Bytes", "CNGHTTP2", "Polling", nioCore, nioPosix, nioHTTP1]),
    room("TLS", ["COpenSSL", nioCore, nioPosix]),
    room("GRPC", ["HTTP2", "Bytes", nioCore]),
    room("Telemetry"),
    room("Configuration", ["Balancing", "CYAML"]),
    room(
        "ClientAPI",
        [
            "GRPC", "HTTP2", "Member", "Watch", "MVCC", "StateMachine", "PageStore", "EtcdAPI", "Records", "Raft", "Telemetry",
            "Host", "Bytes", nioCore,
        ]),
    room("Daemon", ["Configuration", "HTTP2", "LinuxHost", "Systemd", "Telemetry"]),
    room(
        "MemberDaemon",
        [
            "ClientAPI", "Daemon", "GRPC", "HTTP2", "TLS", "Member", "Watch", "MVCC", "Backend", "PageStore", "StateMachine",
            "WAL",
            "EtcdAPI", "Records", "Raft", "Membership", "PeerTransport", "LinuxHost", "Host", "Systemd", "Telemetry",
            "Configuration", "Discovery", "Bytes", nioCore, nioPosix,
        ]),
    room(
        "PeerTransport",
        ["HTTP2", "WAL", "Records", "Raft", "Telemetry", "Host", "Bytes", nioCore, nioPosix, nioHTTP1]),
    room("Forwarding", ["Balancing", "EtcdAPI", "Host", "Bytes"]),
    room(
        "ProxyTransport",
        [
            "Forwarding", "Balancing", "GRPC", "HTTP2", "Polling", "TLS", "EtcdAPI", "Telemetry", "Host", "Bytes", nioCore,
            nioPosix, nioHTTP1,
        ]),
    room(
        "ProxyDaemon",
        [
            "ProxyTransport", "Polling", "Daemon", "Balancing", "EtcdAPI", "Records", "GRPC", "HTTP2", "TLS", "Telemetry",
            "Configuration",
            "Discovery", "Systemd", "LinuxHost", "Host", "Bytes", nioCore, nioPosix, nioHTTP1,
        ]),
    room("Simulation", ["Host"]),
    room(
        "ClusterSimulation",
        [
            "Simulation", "Member", "Membership", "Watch", "StateMachine", "MVCC", "Backend", "PageStore", "WAL", "Forwarding",
            "Balancing",
            "EtcdAPI", "Records", "Raft", "Host", "Bytes",
        ]),
    room(
        "Commands",
        [
            "Backend", "Balancing", "Bytes", "Configuration", "EtcdAPI", "PageStore", "LinuxHost", "Host", "Member", "Membership",
            "Raft",
            "Records",
            "WAL",
            "ProxyTransport", "TLS", nioCore, nioPosix,
        ]),
    .executableTarget(
        name: "quorate",
        dependencies: [
            "MemberDaemon", "ProxyDaemon", "Daemon", "Commands", "Configuration", "LinuxHost", "Systemd", "Telemetry",
        ],
        swiftSettings: strict,
        linkerSettings: [
            // One file to install: Swift's runtime inside, the C libraries from the host's packages.
            .unsafeFlags(
                [
                    "-static-stdlib", "-no-toolchain-stdlib-rpath", "-use-ld=lld", "-Xlinker", "--no-export-dynamic", "-Xlinker",
                    "-z", "-Xlinker", "pack-relative-relocs", "-Xlinker", "--icf=safe",
                ],
                .when(configuration: .release))
        ]),
    .executableTarget(
        name: "quorate-simulate", dependencies: ["ClusterSimulation", "Host"], path: "Sources/Simulate", swiftSettings: strict,
        // Calls into Swift's runtime cost less where it is part of the program.
        linkerSettings: [.unsafeFlags(["-static-stdlib", "-use-ld=lld"], .when(configuration: .release))]),
    .executableTarget(
        name: "quorate-bench",
        dependencies: [
            "GRPC", "HTTP2", "EtcdAPI", nioCore, nioPosix, "PageStore", "MVCC", "WAL", "Records", "Raft", "Lease", "LinuxHost",
            "Host", "Bytes",
        ],
        path: "Sources/Benchmarks", swiftSettings: strict),
]

let suites: [Target] = [
    .target(
        name: "HTTPTestKit", dependencies: ["Bytes", "HTTP2", "CNGHTTP2", nioCore, nioPosix], path: "Tests/HTTPTestKit",
        swiftSettings: strict),
    tests("BalancingTests", ["Balancing", "Host"]),
    tests("DiscoveryTests", ["Discovery", "Host"]),
    tests(
        "ProxyTransportTests",
        [
            "ProxyTransport", "Polling", "Forwarding", "Balancing", "GRPC", "HTTP2", "HTTPTestKit", "EtcdAPI", "Telemetry",
            "Host", "Bytes", nioCore, nioPosix, nioEmbedded,
        ]),
    tests("PollingTests", ["Polling", nioCore, nioPosix]),
    tests("ForwardingTests", ["Forwarding", "Balancing", "EtcdAPI", "Host", "Bytes"]),
    tests("BytesTests", ["Bytes"]),
    tests("RecordsTests", ["Records", "Raft", "Bytes", "Host"]),
    tests("EtcdAPITests", ["EtcdAPI", "Bytes", "Host"], data: ["Fixtures"]),
    tests("RaftTests", ["Raft", "Host", "Simulation"], data: ["Scripts"]),
    tests("WALTests", ["WAL", "Records", "Raft", "Host", "Bytes", "Simulation"], data: ["Fixtures"]),
    tests("PageStoreTests", ["PageStore", "Host", "Bytes", "LinuxHost", "Simulation"], data: ["Fixtures"]),
    tests("MVCCTests", ["MVCC", "Bytes", "Host"]),
    .target(
        name: "StoreTestKit", dependencies: ["MVCC", "Backend", "PageStore", "EtcdAPI", "Host", "Simulation", "Bytes"],
        path: "Tests/StoreTestKit", swiftSettings: strict),
    tests("StoreTests", ["StoreTestKit", "MVCC", "Backend", "PageStore", "EtcdAPI", "Host", "Simulation", "Bytes"]),
    tests("WatchTests", ["StoreTestKit", "Watch", "MVCC", "Backend", "PageStore", "EtcdAPI", "Host", "Simulation", "Bytes"]),
    tests(
        "MemberTests",
        [
            "Member", "Membership", "StateMachine", "WAL", "MVCC", "Backend", "PageStore", "EtcdAPI", "Records", "Raft", "Host",
            "Bytes", "Simulation",
        ]),
    tests(
        "ClientAPITests",
        ["ClientAPI", "HTTP2", "StoreTestKit", "Member", "MVCC", "EtcdAPI", "Records", "Host", nioCore, nioEmbedded]),
    tests(
        "ClusterSimulationTests",
        ["ClusterSimulation", "Member", "MVCC", "Simulation", "EtcdAPI", "Records", "Raft", "Host", "Bytes"]),
    tests("MembershipTests", ["Membership", "Records", "Raft"]),
    tests("LeaseTests", ["Lease", "Bytes", "Host"]),
    tests("LinuxHostTests", ["LinuxHost", "Host"]),
    tests(
        "CommandsTests",
        ["Commands", "ClusterSimulation", "EtcdAPI", "Host", "Member", "PageStore", "Raft", "Records", "Simulation"]),
    tests("SystemdTests", ["Systemd", "Host"]),
    tests("SimulationTests", ["Simulation", "Host"]),
    tests("HTTP2Tests", ["Bytes", "HTTP2", "HTTPTestKit", "CNGHTTP2", nioCore, nioPosix, nioHTTP1, nioEmbedded]),
    tests("GRPCTests", ["Bytes", "HTTP2", "GRPC", "HTTPTestKit", "CNGHTTP2", nioCore, nioPosix, nioEmbedded]),
    tests("TLSTests", ["TLS", "COpenSSL", nioCore, nioPosix, nioEmbedded]),
    tests(
        "PeerTransportTests",
        [
            "PeerTransport", "HTTP2", "WAL", "Records", "Raft", "Telemetry", "Host", "Bytes", "Simulation", nioCore,
            nioPosix, nioHTTP1,
        ], data: ["Fixtures"]),
    tests("ConfigurationTests", ["Configuration"], data: ["Fixtures"]),
    tests("TelemetryTests", ["Telemetry"], data: ["Fixtures"]),
]

let package = Package(
    name: "quorate",
    products: [
        .executable(name: "quorate", targets: ["quorate"]), .executable(name: "quorate-bench", targets: ["quorate-bench"]),
        .executable(name: "quorate-simulate", targets: ["quorate-simulate"]),
    ],
    dependencies: [.package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2")],
    targets: rooms + suites)
