import Configuration
import LinuxHost
import NIOCore
import Systemd
import Telemetry

extension MemberDaemon {
    /// Settings that a reload puts in force; a change of any other waits for a restart.
    private static let reloadable: Set<String> = ["log-level"]

    /// On SIGHUP: reads the configuration again. When it is wrong, or anything fails, the old one stays in force.
    /// Certificates are read again, too.
    func reload(_ member: MemberThread, _ pages: PageThread, _ group: any EventLoopGroup, _ tls: MemberTLS) {
        notifier.post(.reloading)
        let problems = [applyNewConfiguration(), tls.reload()?.description].compactMap { $0 }
        notifier.post(.reloaded(problem: problems.first))
        switch TestHooks.stall {
        case .member: member.stallForTest()
        case .pageFile: pages.stallForTest()
        case .loop: group.next().execute { TestHooks.stallForever() }
        case .health, nil: break
        }
    }

    /// What went wrong, or nil.
    private func applyNewConfiguration() -> String? {
        do throws(ConfigurationError) {
            let fresh = try rereadConfiguration()
            if let level = LogLevel(name: fresh.logging.level) { log.level = level }
            let waiting = settingsThatDiffer(configuration, fresh).filter { !Self.reloadable.contains($0) }
            if !waiting.isEmpty {
                log.warn("these settings have changed and take a restart", ["settings": .strings(waiting)])
            }
            log.info("reloaded the configuration", [:])
            return nil
        } catch {
            log.error("the new configuration is refused, the old one stays", ["error": .string(error.message)])
            return error.message
        }
    }
}
