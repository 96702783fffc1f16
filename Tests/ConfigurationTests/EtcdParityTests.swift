import Testing

@testable import Configuration

/// The table against lists of what etcd knows, taken from every release of 3.4 to 3.7.
struct EtcdParityTests {
    @Test func everyFlagOfEveryReleaseIsKnownWithItsReleases() throws {
        let table = SettingsTable()
        var expected: Set<String> = []
        for row in try fixture("etcd-flags.txt") {
            let setting = try #require(table.flag(row[0]), "\(row[0]) is unknown")
            #expect(setting.releases.names == splitCommas(row[1]), "\(row[0])")
            expected.insert(row[0])
        }
        #expect(expected.count == 166)
        let beyond = table.flagsByName.filter { !expected.contains($0.name) }
        #expect(
            beyond.map { $0.name } == [
                "compatibility-version", "corrupt-alarm-against-etcd", "nospace-auto-disarm", "ready-when", "snapshot-send-rate",
            ])
        #expect(beyond.allSatisfy { $0.releases.isEmpty && $0.environmentVariable.hasPrefix("QUORATE_") })
    }

    @Test func everyKeyOfEveryReleaseIsReadFromAFile() throws {
        let table = SettingsTable()
        let rows = try fixture("etcd-file-keys.txt")
        #expect(rows.count == 150)
        for row in rows { #expect(table.fileKey(row[0]) != nil, "\(row[0]) is unknown") }
    }

    @Test func defaultsAreThoseOfEtcd() throws {
        /// Where etcd's help text says something else than the value, or where releases differ.
        let otherwise: Set<String> = [
            // Words instead of values in etcd's help, or a value where etcd shows what a zero stands for.
            "data-dir", "backend-batch-interval", "backend-batch-limit", "max-concurrent-streams", "enable-grpc-gateway",
            "experimental-compaction-batch-limit", "experimental-compaction-sleep-interval",
            "experimental-watch-progress-notify-interval", "experimental-downgrade-check-time", "experimental-memory-mlock",
            "experimental-bootstrap-defrag-threshold-megabytes", "experimental-stop-grpc-service-on-defrag",
            // Depends on the version behaved as.
            "snapshot-count",
            // 3.6 changed these.
            "discovery-fallback", "v2-deprecation",
            // On here: what finds corruption must not have to be asked for.
            "experimental-initial-corrupt-check", "experimental-compact-hash-check-enabled",
        ]
        let table = SettingsTable()
        let untouched = MemberConfiguration()
        var compared = 0
        for row in try fixture("etcd-3.5.30-defaults.txt", separator: "\t") where !otherwise.contains(row[0]) {
            let setting = try #require(table.flag(row[0]))
            let value = setting.target.read(untouched)
            let same = setting.target.syntax == .duration ? try DurationText.text(DurationText.parse(row[1])) : row[1]
            #expect(value == same, "\(row[0])")
            compared += 1
        }
        #expect(compared > 90)
        #expect(untouched.maxConcurrentStreams == UInt64(UInt32.max))
        #expect(untouched.effectiveBackendBatchInterval == .milliseconds(100))
        #expect(untouched.effectiveBackendBatchLimit == 10_000)
        #expect(untouched.effectiveCompactionBatchLimit == 1_000)
        #expect(untouched.effectiveCompactionSleepInterval == .milliseconds(10))
        #expect(untouched.effectiveWatchProgressNotifyInterval == .seconds(600))
        #expect(untouched.downgradeCheckTime == .seconds(5))
        #expect(untouched.effectiveQuotaBytes == 2_147_483_648)
        #expect(untouched.effectiveSnapshotCount(behavingAs: .v35) == 100_000)
        #expect(untouched.effectiveSnapshotCount(behavingAs: .v36) == 10_000)
        #expect(untouched.effectiveSnapshotCount(behavingAs: .v37) == 10_000)
        #expect(untouched.autoCompaction == nil)
    }

    /// Reading a setting's own default must change nothing, by flag, variable and file alike.
    @Test func everyDefaultCanBeGiven() throws {
        let table = SettingsTable()
        let untouched = MemberConfiguration()
        let reference = try configured(["--name=x"]).configuration
        for setting in table.flagsByName where setting.name != "name" && setting.name != "listen-client-urls" {
            let text = setting.target.read(untouched)
            guard !text.isEmpty else { continue }
            var byFlag = try configured(["--name=x", "--\(setting.name)=\(text)"]).configuration
            byFlag.explicitSettings = reference.explicitSettings
            var byVariable = try configured(["--name=x"], environment: [setting.environmentVariable: text]).configuration
            byVariable.explicitSettings = reference.explicitSettings
            // Naming a gate with its default value is remembered, and means the same.
            if setting.target.feature == nil {
                #expect(byFlag == reference, "--\(setting.name)=\(text)")
                #expect(byVariable == reference, "\(setting.environmentVariable)=\(text)")
            }
            #expect(byFlag.featureGates.deviations.isEmpty)
        }
    }

    @Test func olderNamesSetTheSameValueAsNewOnes() throws {
        let table = SettingsTable()
        for setting in table.settings {
            guard case .deprecatedAlias(let successor) = setting.effect, setting.target.feature == nil, setting.name != "debug"
            else {
                continue
            }
            let newer = try #require(table.flag(successor))
            var configuration = MemberConfiguration()
            let sample: String
            switch setting.target.syntax {
            case .truth: sample = "true"
            case .number: sample = "7"
            case .duration: sample = "7s"
            case .text, .list: sample = "seven"
            }
            try setting.target.write(&configuration, sample)
            #expect(newer.target.read(configuration) == sample, "\(setting.name)")
        }
    }
}
