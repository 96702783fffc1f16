import Balancing
import Bytes
import Configuration
import Discovery
import Host
import LinuxHost
import NIOCore
import ProxyTransport
import Records
import Synchronization
import Telemetry

/// The members' peer URLs, which etcd's v2 proxy asks for `/members`: the endpoints are the client URLs in the answer. The peer URLs in it
/// are kept in `DATA-DIR/cluster`, as that proxy keeps them, and asked from then on; those of the flags are asked when none of them answers.
final class PeerSource: EndpointSource {
    private static let answerLimit = Duration.seconds(5)

    private let settings: PeerEndpoints
    private let kept: KeptFile
    private let eventLoop: any EventLoop
    private let fetcher: NIOLoopBound<PageFetcher>
    private let log: Log
    private let known: Mutex<[String]>

    let name = "the members' peer URLs"

    /// Waits for the event loop.
    init(_ settings: PeerEndpoints, directory: String, _ eventLoop: any EventLoop, _ transport: MemberTransport, _ log: Log)
        throws
    {
        self.settings = settings
        self.eventLoop = eventLoop
        self.log = log
        kept = KeptFile(LinuxDisk(), directory: directory, name: "cluster")
        fetcher = try eventLoop.submit {
            NIOLoopBound(PageFetcher(eventLoop: eventLoop, security: transport), eventLoop: eventLoop)
        }.wait()
        var urls: [String] = []
        do throws(DiskError) {
            if let bytes = try kept.read() { urls = Self.urls(inClusterFile: bytes) }
        } catch {
            log.warn("the kept peer URLs are not used", ["error": .error(error)])
        }
        if !urls.isEmpty { log.info("proxy using peer URLS from cluster file", ["peer-urls": .strings(urls)]) }
        known = Mutex(urls)
    }

    func look() throws(LookupProblem) -> FoundEndpoints<Seed> {
        var problems: [String] = []
        var asked: Set<String> = []
        for place in Place.allCases {
            for url in urls(place, &problems) where asked.insert(url).inserted {
                guard let members = ask(url, &problems) else { continue }
                let seeds = Self.seeds(members)
                guard !seeds.isEmpty else {
                    problems.append("\(url): no member has a client URL")
                    continue
                }
                keep(members.flatMap(\.peerURLs))
                return FoundEndpoints(endpoints: seeds, isComplete: true)
            }
        }
        throw LookupProblem(
            problems.isEmpty ? "there is nobody to ask" : problems.joined(separator: "; "), isAbsence: false)
    }

    /// In the order in which they are asked.
    private enum Place: CaseIterable { case lastAnswer, flags, records }

    private func urls(_ place: Place, _ problems: inout [String]) -> [String] {
        switch place {
        case .lastAnswer: known.withLock { $0 }
        case .flags: settings.urls
        case .records: recordedURLs(&problems)
        }
    }

    private func ask(_ url: String, _ problems: inout [String]) -> [MemberRecord]? {
        do {
            let address = try EndpointAddress(parsing: url)
            let page = try eventLoop.flatSubmit { self.fetcher.value.get(address, "/members", Self.answerLimit) }.wait()
            guard page.status == 200 else {
                problems.append("\(url): status \(page.status)")
                return nil
            }
            return try MemberRecord.list(decodingJSON: Array(page.text.utf8))
        } catch {
            problems.append("\(url): \(error)")
            return nil
        }
    }

    /// The peer URLs that DNS names.
    private func recordedURLs(_ problems: inout [String]) -> [String] {
        guard !settings.domain.isEmpty else { return [] }
        var discovery = ClusterDiscovery(domain: settings.domain, suffix: settings.suffix, name: "", advertised: [])
        var random = SeededRandom(seed: SystemRandom.number())
        let findings = discovery.find(in: SystemNameService(), using: &random)
        let urls = findings.flatMap(\.members).map { String($0.drop { $0 != "=" }.dropFirst()) }
        if urls.isEmpty { problems += findings.compactMap(\.problem) }
        return urls
    }

    private func keep(_ urls: [String]) {
        let before = known.withLock { known in
            defer { known = urls }
            return known
        }
        guard urls != before else { return }
        if !before.isEmpty { log.info("proxy updated peer URLs", ["from": .strings(before), "to": .strings(urls)]) }
        let file = JSON.object([JSON.Field("PeerURLs", .array(urls.map { .string($0) }))]).bytes()
        do throws(DiskError) { try kept.write(file) } catch {
            log.warn("the peer URLs could not be kept", ["error": .error(error)])
        }
    }

    private static func seeds(_ members: [MemberRecord]) -> [Seed] {
        var seeds: [Seed] = []
        for url in members.flatMap(\.clientURLs) {
            guard let address = try? EndpointAddress(parsing: url), !seeds.contains(Seed(address)) else { continue }
            seeds.append(Seed(address))
        }
        return seeds
    }

    /// `{"PeerURLs":[URL]}`
    private static func urls(inClusterFile bytes: [UInt8]) -> [String] {
        guard let root = try? JSON(parsing: bytes), case .array(let values)? = root["PeerURLs"] else { return [] }
        return values.compactMap { value in
            guard case .string(let url) = value else { return nil }
            return url
        }
    }
}
