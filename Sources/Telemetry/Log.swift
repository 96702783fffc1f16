import Synchronization

/// What a log writes and where.
public struct LogOptions: Sendable {
    public var level: LogLevel
    public var format: LogFormat
    /// `default` and `stderr`, `stdout`, `systemd/journal`, or paths of files.
    public var outputs: [String]
    /// For outputs that are files.
    public var rotation: LogFileRotation?
    /// Stands behind `systemd/journal`; without it that output is refused.
    public var journal: (any LogDestination)?
    /// Bytes of lines that may wait for one output.
    public var queueBytes: Int

    public init(
        level: LogLevel = .info, format: LogFormat = .json, outputs: [String] = ["default"], rotation: LogFileRotation? = nil,
        journal: (any LogDestination)? = nil, queueBytes: Int = 1 << 20
    ) {
        self.level = level
        self.format = format
        self.outputs = outputs
        self.rotation = rotation
        self.journal = journal
        self.queueBytes = queueBytes
    }
}

/// The level from which lines are written: it may change while the process runs.
@usableFromInline final class LogThreshold: Sendable {
    @usableFromInline let value: Atomic<Int>
    init(_ level: LogLevel) { value = Atomic(level.rawValue) }
}

/// The process's log: lines as etcd's zap writes them, from any thread.
///
///     log.info("compacted", ["revision": .int(revision), "took": .duration(took)])
///
/// Message and fields are built only when the level is on. A line is formatted on the calling thread and handed to each output's
/// queue (see ``LogOutput`` for what happens when an output blocks).
///
/// Not built on swift-log, though it is free of Foundation: its metadata is a dictionary of strings, so the order of fields and
/// the difference between `3` and `"3"`, which etcd's form needs, are lost on the way to the handler; building that dictionary
/// takes 0.3 us for three fields before anything is formatted, against 0.7 us for the whole line here; and no package that this
/// daemon links logs through it.
public struct Log: Sendable {
    @usableFromInline let threshold: LogThreshold
    private let format: LogFormat
    private let outputs: [LogOutput]
    private let now: @Sendable () -> WallTime

    /// Opens all outputs. Naming the same one twice counts once; naming `/dev/null` discards everything, as in etcd.
    public init(_ options: LogOptions, now: @escaping @Sendable () -> WallTime = WallTime.now) throws(LogProblem) {
        let format = options.format
        var names = options.outputs.map { $0 == "default" ? "stderr" : $0 }
        if names.contains("/dev/null") { names = [] }
        var outputs: [LogOutput] = []
        for (index, name) in names.enumerated() where !names[..<index].contains(name) {
            let destination = try Self.destination(name, options, now)
            let isJournal = name == "systemd/journal"
            outputs.append(
                try LogOutput(destination, isJournal: isJournal, capacity: options.queueBytes) { count in
                    Self.line(
                        isJournal ? nil : format, .warn, now(), LogLine.Caller(file: #fileID, line: #line),
                        "log lines were dropped because an output could not keep up",
                        ["dropped-lines": .uint(count)])
                })
        }
        threshold = LogThreshold(options.level)
        self.format = format
        self.outputs = outputs
        self.now = now
    }

    private static func destination(
        _ name: String, _ options: LogOptions, _ now: @escaping @Sendable () -> WallTime
    ) throws(LogProblem) -> any LogDestination {
        switch name {
        case "stderr": return DescriptorDestination(descriptor: 2)
        case "stdout": return DescriptorDestination(descriptor: 1)
        case "systemd/journal":
            guard let journal = options.journal else {
                throw LogProblem(description: "systemd/journal is not available as a log output")
            }
            return journal
        default: return try FileDestination(path: name, rotation: options.rotation, now: now)
        }
    }

    /// Whether lines of this level are written.
    @inlinable public func isOn(_ level: LogLevel) -> Bool { level.rawValue >= threshold.value.load(ordering: .relaxed) }

    /// Changing it holds for all copies of this log.
    public var level: LogLevel {
        get { LogLevel(rawValue: threshold.value.load(ordering: .relaxed)) ?? .info }
        nonmutating set { threshold.value.store(newValue.rawValue, ordering: .relaxed) }
    }

    @inlinable public func debug(
        _ message: @autoclosure () -> String, _ fields: @autoclosure () -> KeyValuePairs<String, LogValue> = [:],
        file: StaticString = #fileID, line: UInt = #line
    ) {
        if isOn(.debug) { write(.debug, message(), fields(), file, line) }
    }

    @inlinable public func info(
        _ message: @autoclosure () -> String, _ fields: @autoclosure () -> KeyValuePairs<String, LogValue> = [:],
        file: StaticString = #fileID, line: UInt = #line
    ) {
        if isOn(.info) { write(.info, message(), fields(), file, line) }
    }

    @inlinable public func warn(
        _ message: @autoclosure () -> String, _ fields: @autoclosure () -> KeyValuePairs<String, LogValue> = [:],
        file: StaticString = #fileID, line: UInt = #line
    ) {
        if isOn(.warn) { write(.warn, message(), fields(), file, line) }
    }

    @inlinable public func error(
        _ message: @autoclosure () -> String, _ fields: @autoclosure () -> KeyValuePairs<String, LogValue> = [:],
        file: StaticString = #fileID, line: UInt = #line
    ) {
        if isOn(.error) { write(.error, message(), fields(), file, line) }
    }

    /// The last line before the process ends; ending it is up to the caller, after ``flush(within:)``.
    @inlinable public func fatal(
        _ message: @autoclosure () -> String, _ fields: @autoclosure () -> KeyValuePairs<String, LogValue> = [:],
        file: StaticString = #fileID, line: UInt = #line
    ) {
        if isOn(.fatal) { write(.fatal, message(), fields(), file, line) }
    }

    /// Waits until every output has written what it was given, each at most so long. Returns whether all have.
    @discardableResult public func flush(within limit: Duration = .seconds(1)) -> Bool {
        outputs.reduce(true) { $1.flush(within: limit) && $0 }
    }

    /// Takes no more lines and ends the outputs' threads once all is written.
    public func close() {
        for output in outputs { output.close() }
    }

    @usableFromInline func write(
        _ level: LogLevel, _ message: String, _ fields: KeyValuePairs<String, LogValue>, _ file: StaticString, _ lineNumber: UInt
    ) {
        guard !outputs.isEmpty else { return }
        let caller = LogLine.Caller(file: file, line: lineNumber)
        var text: [UInt8]?
        var record: [UInt8]?
        for output in outputs {
            if output.isJournal {
                if record == nil { record = Self.line(nil, level, now(), caller, message, fields) }
            } else if text == nil {
                text = Self.line(format, level, now(), caller, message, fields)
            }
            if let line = output.isJournal ? record : text { output.enqueue(line, level) }
        }
    }

    /// - Parameter format: nil for the journal.
    private static func line(
        _ format: LogFormat?, _ level: LogLevel, _ time: WallTime, _ caller: LogLine.Caller, _ message: String,
        _ fields: KeyValuePairs<String, LogValue>
    ) -> [UInt8] {
        switch format {
        case .json: return LogLine.json(level, time, caller, message, fields)
        case .console: return LogLine.console(level, time, caller, message, fields)
        case nil: return JournalRecord.encode(level, caller, message, fields)
        }
    }
}
