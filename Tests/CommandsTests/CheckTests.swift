import ClusterSimulation
import EtcdAPI
import Host
import Member
import PageStore
import Simulation
import Testing

@testable import Commands

extension FaultyDisk {
    /// Every file of the member's directory.
    fileprivate var paths: [String] {
        ["/data/member/snap", "/data/member/wal"].flatMap { directory in
            ((try? list(directory)) ?? []).map { "\(directory)/\($0)" }
        }
    }

    /// Calls after the first `count` that looked at nothing only.
    fileprivate func changes(after count: Int) -> [String] {
        trace.filter { $0.ordinal > count && !FaultyDisk.looks.contains($0.operation) }.map(\.description)
    }

    private static var looks: Set<String> { ["open", "list", "stat", "read", "size", "lock", "map"] }
}

/// Directories of simulated members, sound and damaged.
@Suite struct CheckTests {
    private static let directory = DataDirectory("/data")

    /// The disk of an only member that has written and been stopped.
    private static func disk() throws -> FaultyDisk {
        let options = ClusterOptions(founders: 1, seed: 5) {
            $0.snapshotCount = 20
            $0.catchUpEntries = 5
        }
        let cluster = try SimulatedCluster(options)
        try cluster.run(within: .seconds(10)) { $0.leaders.first?.published?.status.isReady == true }
        for number in 0..<50 {
            let put = PutRequest(key: Array("k\(number % 7)".utf8), value: [UInt8](repeating: UInt8(number), count: 200))
            cluster.propose(.put(put), on: 1)
            try cluster.run(for: .milliseconds(20))
        }
        let alarm = AlarmRequest(action: .activate, memberID: 1, alarm: .nospace)
        cluster.propose(.alarm(alarm), on: 1)
        try cluster.run(for: .seconds(1))
        let disk = cluster.members[0].disk
        try cluster.stop(1, .kept)
        return disk.copy()
    }

    @Test func aSoundDirectoryIsDescribed() throws {
        let disk = try CheckTests.disk()
        let before = disk.operationCount
        let check = try DirectoryCheck(CheckTests.directory, on: disk)
        #expect(check.refusals == [] && check.notes == [] && !check.isInUse && !check.isNew)
        let pageFile = try #require(check.pageFile)
        #expect(pageFile.revision == 51 && pageFile.alarms == [AlarmMember(memberID: 1, alarm: .nospace)])
        #expect(!pageFile.isAuthenticationEnabled && pageFile.unknownBuckets == [] && pageFile.storageVersion == "3.6.0")
        let log = try #require(check.log)
        #expect(log.memberID == 1 && log.clusterID == 0xc1 && log.snapshotIndex > 0)
        #expect(log.range.map { $0.upperBound >= pageFile.appliedIndex } == true)
        #expect(check.membership.members.map(\.name) == ["m1"] && check.confState.voters == [1] && !check.isJoint)
        let verdicts = check.verdicts
        #expect(verdicts.map(\.release) == ["3.5", "3.6", "3.7"])
        #expect(
            verdicts[0].reasons == ["the cluster is of version 3.6.0"] && verdicts[1].reasons == [] && verdicts[2].reasons == [])
        #expect(disk.changes(after: before) == [])
        let report = DirectoryReport(check)
        #expect(report.text.contains("quorate member   yes") && report.json["startable"]?.bool == true)
    }

    @Test func whatIsMissingIsNamed() throws {
        #expect(throws: CommandFailure("/data holds no data of a member")) {
            try DirectoryCheck(CheckTests.directory, on: FaultyDisk())
        }
        let disk = try CheckTests.disk()
        try disk.remove(CheckTests.directory.pageFilePath)
        let check = try DirectoryCheck(CheckTests.directory, on: disk)
        #expect(check.refusals == ["/data/member/snap/db is missing, and there is a log"])
    }

    @Test func aDirectoryInUseIsLeftAlone() throws {
        let disk = try CheckTests.disk()
        let holder = try disk.open(CheckTests.directory.pageFilePath, .readWrite)
        #expect(try holder.tryLock(.flockExclusive))
        let check = try DirectoryCheck(CheckTests.directory, on: disk)
        #expect(check.isInUse && check.refusals.count == 1)
        #expect(check.refusals[0].contains("/data/member/snap/db"))
        holder.close()
    }

    /// A flipped bit or a cut anywhere: an answer or an error with the file's name, and nothing written.
    @Test(arguments: UInt64(1)...2)
    func damageIsNamed(seed: UInt64) throws {
        let sound = try CheckTests.disk()
        var random = SeededRandom(seed: seed)
        let paths = sound.paths.filter { !$0.hasSuffix(".tmp") }
        // Behind that there are only zeroes.
        let used = paths.map { path in sound.contents(path).map { ($0.lastIndex { $0 != 0 } ?? 0) + 1 } ?? 0 }
        var refused = 0
        for _ in 0..<12 {
            let at = Int.random(in: 0..<paths.count, using: &random)
            let (path, used) = (paths[at], used[at])
            guard var bytes = sound.contents(path), !bytes.isEmpty else { continue }
            switch Int.random(in: 0..<3, using: &random) {
            case 0: bytes[Int.random(in: 0..<used, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes.removeLast(bytes.count - Int.random(in: 0..<used, using: &random))
            default: for at in 0..<min(512, used) { bytes[at] = UInt8.random(in: .min ... .max, using: &random) }
            }
            let disk = sound.copy()
            disk.setContents(path, bytes)
            let before = disk.operationCount
            let check = try DirectoryCheck(CheckTests.directory, on: disk)
            #expect(disk.changes(after: before) == [])
            if !check.refusals.isEmpty { refused += 1 }
            let isNamed = check.refusals.allSatisfy { $0.contains("/data/member/") || $0.contains("index") }
            #expect(isNamed, "seed \(seed): \(path): \(check.refusals)")
            _ = DirectoryReport(check).text
        }
        print("seed \(seed): \(refused) of 12 damaged directories refused")
        #expect(refused > 2)
    }

    /// No release looks at them, so they are no reason to refuse anything.
    @Test func unknownBucketsAreNamed() throws {
        let disk = try CheckTests.disk()
        let file = try PageFile.open(disk: disk, path: CheckTests.directory.pageFilePath, options: PageFileOptions())
        let transaction = try file.beginWrite()
        try transaction.createBucketIfMissing(Array("extra".utf8)).put(Array("key".utf8), Array("value".utf8))
        try transaction.commit()
        file.close()
        let check = try DirectoryCheck(CheckTests.directory, on: disk)
        #expect(check.refusals == [] && check.pageFile?.unknownBuckets == ["extra"])
        #expect(check.notes == ["buckets that no etcd from 3.4 to 3.7 knows: extra"])
    }

    @Test func versionsAreJudged() throws {
        let check = try DirectoryCheck(CheckTests.directory, on: CheckTests.disk())
        func reasons(_ change: (inout DirectoryCheck) -> Void) -> [[String]] {
            var changed = check
            change(&changed)
            return changed.verdicts.map(\.reasons)
        }
        let old = reasons {
            $0.membership.clusterVersion = try? .init(parsing: "3.4.0")
            $0.pageFile?.storageVersion = nil
        }
        let steps = "the cluster is of version 3.4.0, and etcd is upgraded one release at a time"
        #expect(old == [[], [steps], [steps]])
        let bare = reasons {
            $0.membership.clusterVersion = try? .init(parsing: "3.6.0")
            $0.log?.entries.bareV2 = 3
        }
        #expect(bare[2] == ["3 entries after the newest snapshot are requests of the v2 API"])
        let newest = reasons {
            $0.membership.clusterVersion = try? .init(parsing: "3.7.0")
            $0.pageFile?.storageVersion = "3.7.0"
            $0.log?.v2Keys = 2
        }
        #expect(newest[0] == ["the cluster is of version 3.7.0"])
        #expect(
            newest[1] == [
                "the cluster is of version 3.7.0", "the storage is of version 3.7.0", "users have stored keys through the v2 API",
            ])
    }
}

/// What is written on it can be read from it, and the disk below stays as it is.
@Test(arguments: UInt64(1)...4)
func aRehearsalDiskIsLikeAnyOther(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let below = FaultyDisk()
    try below.createDirectory("/d", permissions: 0o700)
    var model = [UInt8]((0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
    below.setContents("/d/file", model)
    let disk = RehearsalDisk(on: below)
    let file = try disk.open("/d/file", .readWrite)
    for _ in 0..<300 {
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            let offset = Int.random(in: 0..<24_000, using: &random)
            let bytes = (0..<Int.random(in: 1..<6000, using: &random)).map { _ in UInt8.random(in: .min ... .max, using: &random)
            }
            try bytes.withUnsafeBytes { try file.write($0, at: offset) }
            if model.count < offset + bytes.count { model += [UInt8](repeating: 0, count: offset + bytes.count - model.count) }
            model.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        case 1:
            let size = Int.random(in: 0..<30_000, using: &random)
            try file.setSize(size)
            model = Array(model.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - model.count))
        case 2:
            let size = model.count + Int.random(in: 0..<5000, using: &random)
            try file.preallocate(size)
            model += [UInt8](repeating: 0, count: size - model.count)
        default:
            let offset = Int.random(in: 0..<30_000, using: &random)
            var buffer = [UInt8](repeating: 1, count: Int.random(in: 0..<9000, using: &random))
            let count = try buffer.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
            let expected = model.dropFirst(offset).prefix(buffer.count)
            #expect(count == expected.count && buffer.prefix(count).elementsEqual(expected), "seed \(seed)")
        }
        #expect(try file.size() == model.count)
    }
    try disk.rename("/d/file", to: "/d/other")
    #expect(try !disk.exists("/d/file") && disk.exists("/d/other") && disk.list("/d") == ["other"])
    try disk.remove("/d/other")
    #expect(try disk.list("/d") == [])
    #expect(try below.list("/d") == ["file"] && below.contents("/d/file")?.count == 20_000)
}
