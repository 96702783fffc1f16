import Balancing
import NIOCore
import ProxyTransport

extension PageFetcher {
    /// `/readyz`, or `/health` where that page does not exist: etcd before 3.5.11 and 3.4.29 lacks it.
    func health(_ address: EndpointAddress, _ timeout: Duration) -> EventLoopFuture<ProbeResult> {
        get(address, "/readyz", timeout).assumeIsolated().flatMap { page -> EventLoopFuture<Page> in
            guard page.status == 404 else { return self.eventLoop.makeSucceededFuture(page) }
            return self.get(address, "/health", timeout)
        }.map { page -> ProbeResult in
            var report = ProbeReport()
            switch page.status {
            case 200: return .answered(report)
            case 503:
                if page.text.contains("CORRUPT") { report.alarms.insert(.corrupt) }
                if page.text.contains("learner") { report.isLearner = true }
                // Space is short for everyone, and reads go on.
                if page.text.contains("NOSPACE") { return .answered(report) }
                report.notReady = page.text
                return .answered(report)
            default: return .failed(.garbled, detail: "health page answered with HTTP status \(page.status)")
            }
        }.flatMapErrorThrowing { .failed(ProbeFailure($0), detail: "\($0)") }.nonisolated()
    }
}
