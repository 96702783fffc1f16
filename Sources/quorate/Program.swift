import Commands
import Configuration
import Daemon
import Glibc
import LinuxHost
import MemberDaemon
import ProxyDaemon
import Systemd
import Telemetry

/// The command line: which half or command runs, and what its exit code is.
enum Program {
    /// Quorate's own version; the release process sets it in one place, here.
    static let version = "0.1.0"

    static func run(_ arguments: [String]) -> Int32 {
        ProcessSignals.block()
        switch ProgramForm.of(arguments) {
        case .member(let rest): return member(rest)
        case .other("--version", _), .other("version", _): return member(["--version"])
        case .other("--help", _), .other("-h", _), .other("help", _): return member(["--help"])
        case .other("proxy", let rest) where rest.first == "status": return ProxyStatusCommand.run(Array(rest.dropFirst()))
        case .other("proxy", let rest):
            return proxy { version throws(ConfigurationError) in
                try readProxyConfiguration(.system(arguments: rest), version: version)
            }
        case .other("gateway", let rest): return proxy(.gateway, rest)
        case .other("grpc-proxy", let rest): return proxy(.grpcProxy, rest)
        case .other(let name, let rest): return Command.run(name, rest) ?? unknown(name)
        case .nothing:
            printError(
                "usage: quorate member [flags] | quorate proxy [flags] | quorate check DATA-DIR | "
                    + "quorate pagefile check|pages|stats|dump FILE | quorate --version\n"
            )
            return 2
        }
    }

    private static func unknown(_ name: String) -> Int32 {
        printError("quorate: there is no command \"\(name)\"; try \"quorate member --help\"\n")
        return 2
    }

    private static func member(_ arguments: [String]) -> Int32 {
        let build = BuildVersion(version: version, revision: "")
        do throws(ConfigurationError) {
            switch try readMemberConfiguration(.system(arguments: arguments), version: build) {
            case .print(let text):
                print(text, terminator: "")
                return 0
            case .run(let configuration, let notices):
                guard try startsProxy(configuration) else { return start(configuration, notices, build, arguments) }
            }
        } catch {
            printError(error.message.hasSuffix("\n") ? error.message : error.message + "\n")
            sayFailure(error.message, error.exitCode)
            return error.exitCode
        }
        return proxy { version throws(ConfigurationError) in
            guard
                case .run(let member, let notices) = try readMemberConfiguration(.system(arguments: arguments), version: version)
            else { preconditionFailure("the same words were flags a moment ago") }
            let (proxy, more) = try member.asProxy()
            return .run(proxy, notices: notices + more)
        }
    }

    private static func startsProxy(_ configuration: MemberConfiguration) throws(ConfigurationError) -> Bool {
        try configuration.startsProxy { access(configuration.dataDirectory + "/" + $0, F_OK) == 0 }
    }

    private typealias ProxyReading = @Sendable (BuildVersion) throws(ConfigurationError) -> ProxyRequest

    /// etcd's own proxies, by their command lines.
    private static func proxy(_ command: EtcdProxyCommand, _ arguments: [String]) -> Int32 {
        proxy { version throws(ConfigurationError) in try readEtcdProxyCommand(command, arguments, version: version) }
    }

    private static func proxy(_ read: @escaping ProxyReading) -> Int32 {
        let build = BuildVersion(version: version, revision: "")
        do throws(ConfigurationError) {
            switch try read(build) {
            case .print(let text):
                print(text, terminator: "")
                return 0
            case .run(let configuration, let notices): return start(configuration, notices, build, read)
            }
        } catch {
            printError(error.message.hasSuffix("\n") ? error.message : error.message + "\n")
            sayFailure(error.message, error.exitCode)
            return error.exitCode
        }
    }

    private static func start(
        _ configuration: ProxyConfiguration, _ notices: [ConfigurationNotice], _ build: BuildVersion,
        _ read: @escaping ProxyReading
    ) -> Int32 {
        guard let (sockets, log) = open(ProxyDaemon.socketNames, configuration.logging, notices) else {
            return ExitCode.configuration
        }
        let daemon = ProxyDaemon(configuration, version: build, log: log, inheritedSockets: sockets) {
            () throws(ConfigurationError) in
            guard case .run(let fresh, _) = try read(build) else { return configuration }
            return fresh
        }
        return daemon.run()
    }

    /// What a daemon is handed before it starts; nil after saying why there is none.
    private static func open(
        _ socketNames: [String], _ logging: LoggingSettings, _ notices: [ConfigurationNotice]
    ) -> (InheritedSockets, Log)? {
        do {
            // First, as it changes the environment, which must not happen once there are threads.
            let sockets = try InheritedSockets.take(names: socketNames)
            let log = try Log(LogOptions(logging))
            for notice in notices { log.note(notice) }
            return (sockets, log)
        } catch {
            printError("\(error)\n")
            sayFailure("\(error)", ExitCode.configuration)
            return nil
        }
    }

    /// To systemd, which shows it in `systemctl status`.
    private static func sayFailure(_ reason: String, _ code: Int32) {
        NotifySocket.send(ServiceFailure(reason, exitCode: code, errno: ExitCode.errno(for: code)).message)
    }

    private static func start(
        _ configuration: MemberConfiguration, _ notices: [ConfigurationNotice], _ build: BuildVersion, _ arguments: [String]
    ) -> Int32 {
        guard let (sockets, log) = open(MemberDaemon.socketNames, configuration.logging, notices) else {
            return ExitCode.configuration
        }
        let complete: MemberConfiguration
        do throws(ConfigurationError) { complete = try MemberDaemon.lookingUpCluster(configuration, log) } catch {
            log.fatal("discovery failed", ["error": .string(error.message)])
            sayFailure(error.message, error.exitCode)
            log.flush()
            return error.exitCode
        }
        let daemon = MemberDaemon(complete, version: build, log: log, inheritedSockets: sockets) {
            () throws(ConfigurationError) in
            guard case .run(let fresh, _) = try readMemberConfiguration(.system(arguments: arguments), version: build) else {
                return complete
            }
            return fresh
        }
        return daemon.run()
    }

    private static func printError(_ text: String) {
        var text = text
        text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
    }
}

extension LogOptions {
    init(_ logging: LoggingSettings) {
        self.init(
            level: LogLevel(name: logging.level) ?? .info, format: LogFormat(rawValue: logging.format) ?? .json,
            outputs: logging.outputs, journal: JournalDestination(identifier: "quorate"))
    }
}

extension Log {
    func note(_ notice: ConfigurationNotice) {
        let fields = notice.fields.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        switch notice.level {
        case .info: info(notice.message, fields.isEmpty ? [:] : ["fields": .string(fields)])
        case .warning: warn(notice.message, fields.isEmpty ? [:] : ["fields": .string(fields)])
        }
    }
}
