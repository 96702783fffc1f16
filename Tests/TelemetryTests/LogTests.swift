import Glibc
import Synchronization
import Testing

@testable import Telemetry

struct LogTests {
    /// 2026-11-21T04:20:33.123456789Z
    private static let time = WallTime(seconds: 1_795_234_833, nanoseconds: 123_456_789)

    @Test func linesHaveZapsForm() {
        let line = LogLine.json(
            .info, Self.time, LogLine.Caller(file: "embed/etcd.go", line: 140), "configuring",
            [
                "urls": .strings(["http://a", "b"]), "count": 3, "big": .uint(.max), "ratio": .double(0.25), "on": true,
                "took": .duration(.milliseconds(1_500)), "error": .string("x: \"y\"\n\t\\\u{1}é"), "id": .id(0xAB),
                "none": .strings([]),
                "inf": .double(.infinity),
            ])
        let expected =
            #"{"level":"info","ts":"2026-11-21T04:20:33.123456Z","caller":"embed/etcd.go:140","msg":"configuring","#
            + #""urls":["http://a","b"],"count":3,"big":18446744073709551615,"ratio":0.25,"on":true,"took":"1.5s","#
            + #""error":"x: \"y\"\n\t\\\u0001é","id":"ab","none":[],"inf":"+Inf"}"# + "\n"
        #expect(String(decoding: line, as: UTF8.self) == expected)
    }

    @Test func consoleLinesHaveZapsForm() {
        let line = LogLine.console(
            .warn, Self.time, LogLine.Caller(file: "a/b.swift", line: 1), "two\nlines",
            ["key": "v", "list": .strings(["x", "y"])])
        #expect(
            String(decoding: line, as: UTF8.self)
                == "2026-11-21T04:20:33.123456Z\twarn\ta/b.swift:1\ttwo lines\t{\"key\": \"v\", \"list\": [\"x\", \"y\"]}\n")
        let bare = LogLine.console(.info, Self.time, LogLine.Caller(file: "a/b.swift", line: 1), "m", [:])
        #expect(String(decoding: bare, as: UTF8.self) == "2026-11-21T04:20:33.123456Z\tinfo\ta/b.swift:1\tm\n")
    }

    @Test func journalRecordsHaveFieldsAndAReadableMessage() {
        let record = JournalRecord.encode(
            .warn, LogLine.Caller(file: "a/b.swift", line: 7), "slow",
            [
                "took-ms": 3, "urls": .strings(["http://a", "b"]), "why": "two words\nmore",
                "took": .duration(.milliseconds(1_500)),
            ])
        let fields = record.withUnsafeBytes { record in
            JournalRecord.fields(of: record).map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(
            fields == [
                "MESSAGE=slow took-ms=3 urls=http://a,b why=\"two words\nmore\" took=1.5s", "PRIORITY=4", "CODE_FILE=a/b.swift",
                "CODE_LINE=7", "QUORATE_TOOK_MS=3", "QUORATE_URLS=http://a,b", "QUORATE_WHY=two words\nmore", "QUORATE_TOOK=1.5s",
            ])
    }

    /// The calendar against the C library's, over many years.
    @Test func datesAgreeWithTheCLibrary() {
        for step in -2_000..<6_000 {
            let seconds = Int64(step) * 1_234_567 + 86_399
            var clock = time_t(seconds)
            var parts = tm()
            gmtime_r(&clock, &parts)
            let date = WallTime(seconds: seconds, nanoseconds: 0).date
            #expect(
                date.year == Int64(parts.tm_year) + 1_900 && date.month == Int64(parts.tm_mon) + 1
                    && date.day == Int64(parts.tm_mday))
            #expect(
                WallTime(seconds: seconds, nanoseconds: 0).secondOfDay
                    == Int64(parts.tm_hour * 3_600 + parts.tm_min * 60 + parts.tm_sec))
        }
    }

    @Test(
        arguments: [
            (0, "0s"), (999, "999ns"), (1_100, "1.1\u{B5}s"), (2_000_000, "2ms"), (61_000_000_000, "1m1s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_500_000_000, "-1.5s"),
        ] as [(Int64, String)])
    func durationsAreWrittenAsGoDoes(_ nanoseconds: Int64, _ expected: String) {
        #expect(durationText(.nanoseconds(nanoseconds)) == expected)
    }

    @Test func levelsAreCheckedBeforeAnythingIsBuilt() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/log"
        let log = try Log(LogOptions(level: .warn, outputs: [path]), now: { Self.time })
        var built = 0
        func message(_ text: String) -> String {
            built += 1
            return text
        }
        log.debug(message("a"))
        log.info(message("b"), ["x": .string(message("c"))])
        #expect(built == 0)
        log.warn(message("d"), ["x": .string(message("e"))])
        log.error("f")
        #expect(built == 2)
        #expect(log.flush())
        log.close()
        let lines = fileText(path).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(
            lines[0].hasPrefix(#"{"level":"warn","ts":"2026-11-21T04:20:33.123456Z","caller":"TelemetryTests/LogTests.swift:"#))
        #expect(lines[0].hasSuffix(#","msg":"d","x":"e"}"#))
    }

    @Test func allOutputsGetEveryLineAndTheSameOneOnce() throws {
        let directory = TemporaryDirectory()
        let paths = [directory.path + "/a", directory.path + "/b"]
        let log = try Log(LogOptions(outputs: paths + [paths[0]]))
        for index in 0..<100 { log.info("line", ["index": .int(index)]) }
        #expect(log.flush(within: .seconds(5)))
        log.close()
        for path in paths { #expect(fileText(path).split(separator: "\n").count == 100) }
        #expect(fileText(paths[0]) == fileText(paths[1]))
    }

    @Test func manyThreadsWriteWholeLines() async throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/log"
        let log = try Log(LogOptions(outputs: [path], queueBytes: 16 << 20))
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<4 {
                group.addTask { for index in 0..<1_000 { log.info("m", ["thread": .int(thread), "index": .int(index)]) } }
            }
        }
        #expect(log.flush(within: .seconds(10)))
        log.close()
        var next = [0, 0, 0, 0]
        for line in fileText(path).split(separator: "\n") {
            let fields = line.split(separator: ":")
            let thread = try #require(Int(fields[fields.count - 2].prefix { $0.isNumber }))
            let index = try #require(Int(fields[fields.count - 1].prefix { $0.isNumber }))
            #expect(line.hasSuffix("}") && next[thread] == index)
            next[thread] += 1
        }
        #expect(next == [1_000, 1_000, 1_000, 1_000])
    }

    /// An output that blocks holds up nobody; what does not fit is dropped, and said once the output moves again.
    @Test func aBlockedOutputDropsAndSaysSo() throws {
        let gate = BlockedDestination()
        let log = try Log(LogOptions(outputs: ["systemd/journal"], journal: gate, queueBytes: 4_000), now: { Self.time })
        log.info("first")
        gate.waitUntilBlocked()
        for index in 0..<1_000 { log.info("more", ["index": .int(index)]) }
        #expect(!log.flush(within: .milliseconds(1)))
        gate.open()
        #expect(log.flush(within: .seconds(5)))
        log.close()
        let lines = gate.lines
        let last = lines[lines.count - 1]
        #expect(last.contains("log lines were dropped because an output could not keep up"))
        let said = try #require(Int(String(last[last.range(of: "dropped-lines=")...].prefix { $0.isNumber })))
        #expect(said + (lines.count - 1) == 1_001)
        #expect(said > 900)
    }

    @Test func outputsThatCannotBeOpenedAreNamed() throws {
        #expect(throws: LogProblem(description: "open /nonexistent/x: no such file or directory")) {
            _ = try Log(LogOptions(outputs: ["/nonexistent/x"]))
        }
        #expect(throws: LogProblem(description: "systemd/journal is not available as a log output")) {
            _ = try Log(LogOptions(outputs: ["systemd/journal"]))
        }
        let log = try Log(LogOptions(outputs: ["stderr", "/dev/null"]))
        log.info("discarded")
        #expect(log.flush())
    }

    @Test func levelNamesAreEtcds() {
        for level in LogLevel.allCases { #expect(LogLevel(name: level.name) == level) }
        #expect(LogLevel(name: "WARN") == nil)
        #expect(LogLevel.debug < .fatal)
    }

    @Test func filesRotateBySizeAndOldOnesGo() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/etcd.log"
        let clock = Mutex<Int64>(1_795_234_833)
        let now: @Sendable () -> WallTime = {
            WallTime(
                seconds: clock.withLock {
                    $0 += 1; return $0
                }, nanoseconds: 5_000_000)
        }
        let rotation = LogFileRotation(maximumBytes: 100, maximumBackups: 2, maximumAgeDays: 0)
        let file = try FileDestination(path: path, rotation: rotation, now: now)
        for index in 0..<10 {
            #expect(file.write(Array(("\(index)" + String(repeating: "x", count: 58) + "\n").utf8), level: .info))
        }
        #expect(directory.names == ["etcd-2026-11-21T04-20-41.005.log", "etcd-2026-11-21T04-20-42.005.log", "etcd.log"])
        #expect(fileText(path).hasPrefix("9"))
        #expect(fileText(directory.path + "/etcd-2026-11-21T04-20-42.005.log").hasPrefix("8"))
    }

    @Test func oldBackupsGoByAgeAndOthersStay() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/log"
        let names = [
            "log-2026-11-01T00-00-00.000", "log-2026-11-20T00-00-00.000", "log-of-something-else-entirely",
            "log-2026-11-02T00-00-00.000.gz",
        ]
        for name in names { close(open(directory.path + "/" + name, O_CREAT | O_WRONLY, 0o600)) }
        LogFileRotation(maximumBytes: 1, maximumBackups: 0, maximumAgeDays: 7).removeOldBackups(of: path, at: Self.time)
        #expect(directory.names == [names[2], names[3], names[1]].sorted())
    }

    @Test func anExistingFileIsAppendedToAndItsSizeCounts() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/log"
        let rotation = LogFileRotation(maximumBytes: 10, maximumBackups: 0, maximumAgeDays: 0)
        var file: FileDestination? = try FileDestination(path: path, rotation: rotation, now: { Self.time })
        #expect(file?.write(Array("123456\n".utf8), level: .info) == true)
        file = try FileDestination(path: path, rotation: rotation, now: { Self.time })
        #expect(file?.write(Array("ab\n".utf8), level: .info) == true)
        #expect(fileText(path) == "123456\nab\n")
        #expect(file?.write(Array("c\n".utf8), level: .info) == true)
        #expect(directory.names.count == 2)
        #expect(fileText(path) == "c\n")
    }
}

/// Blocks its writer until it is opened.
private final class BlockedDestination: LogDestination, @unchecked Sendable {
    // Unchecked: `written` is guarded by the mutex; the semaphores are made for many threads and live as long as the process.
    private let entered = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private let released = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private let written = Mutex<[String]>([])
    private let isOpen = Mutex(false)

    init() {
        sem_init(entered, 0, 0)
        sem_init(released, 0, 0)
    }

    func write(_ line: [UInt8], level: LogLevel) -> Bool {
        if !isOpen.withLock({ $0 }) {
            sem_post(entered)
            sem_wait(released)
        }
        written.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
        return true
    }

    func waitUntilBlocked() { sem_wait(entered) }

    func open() {
        isOpen.withLock { $0 = true }
        sem_post(released)
    }

    var lines: [String] { written.withLock { $0 } }
}
