import Host
import Systemd
import Testing

/// Drives a reporter through virtual time and keeps what it says, as `seconds: text`.
private struct Scene {
    var reporter: ServiceReporter
    var now = Instant(nanoseconds: 1_000_000_000_000)
    let start = Instant(nanoseconds: 1_000_000_000_000)
    var said: [String] = []
    var status: StatusLine?
    var answers: [UInt64] = [0, 0]
    /// Loops that answer at once.
    var running = [true, true]

    init(watchdog: Instant.Span? = .seconds(8)) { reporter = ServiceReporter(watchdog: watchdog) }

    mutating func post(_ event: ServiceReporter.Event) { say(reporter.handle(event, status: status, now)) }

    mutating func run(seconds: Int64) {
        let end = now + .seconds(seconds)
        while true {
            let (messages, question) = reporter.wake(
                now, status: status, answers: answers, names: ["member thread", "event loop 0"])
            say(messages)
            if let question { for loop in answers.indices where running[loop] { answers[loop] = question } }
            let next = reporter.nextWake(now)
            #expect(next > now)
            guard next <= end else { break }
            now = next
        }
        now = end
    }

    private mutating func say(_ messages: [NotifyMessage]) {
        for message in messages {
            let text = message.text.split(separator: "\n").joined(separator: " ")
            said.append("\(Int((now - start).seconds)): \(text)")
        }
    }

    mutating func take() -> [String] {
        defer { said = [] }
        return said
    }
}

@Test func startReadyAndStop() {
    var scene = Scene()
    scene.post(.progress("opening"))
    scene.status = StatusLine(state: "leader")
    scene.post(.ready)
    scene.post(.stopping("stopping", longest: .seconds(20)))
    scene.post(.stopping("stopping", longest: .seconds(20)))
    scene.run(seconds: 20)
    #expect(
        scene.take() == [
            "0: EXTEND_TIMEOUT_USEC=60000000 STATUS=opening", "0: READY=1 STATUS=leader",
            "0: STOPPING=1 STATUS=stopping EXTEND_TIMEOUT_USEC=20000000",
        ])
}

@Test func aSlowStartBuysTimeOnlyWhileItMoves() {
    var scene = Scene()
    for part in 0..<60 {
        scene.post(.progress("part \(part)"))
        scene.run(seconds: 1)
    }
    var times = scene.take().filter { $0.contains("EXTEND_TIMEOUT_USEC=60000000") }.count
    #expect((12...13).contains(times))
    // Nothing moves: one message for what had not been told yet, and then silence.
    scene.run(seconds: 600)
    times = scene.take().count
    #expect(times <= 1)
}

@Test func waitingForOthersBuysTimeAsLongAsTheLoopsRun() {
    var scene = Scene()
    scene.status = StatusLine(state: "no leader, 1 of 3 members up")
    scene.run(seconds: 100)
    let waiting = scene.take()
    #expect(waiting.count >= 20 && waiting.allSatisfy { $0.contains("EXTEND_TIMEOUT_USEC") && $0.contains("1 of 3") })
    scene.running = [false, true]
    scene.run(seconds: 20)
    _ = scene.take()
    scene.run(seconds: 100)
    #expect(scene.take() == [])
}

@Test func theWatchdogHearsAtHalfItsIntervalWhileAllLoopsAnswer() {
    var scene = Scene()
    scene.status = StatusLine(state: "leader")
    scene.post(.ready)
    _ = scene.take()
    scene.run(seconds: 20)
    #expect(scene.take() == [0, 4, 8, 12, 16, 20].map { "\($0): WATCHDOG=1" })
}

@Test(arguments: [0, 1]) func oneStalledLoopSilencesTheWatchdog(loop: Int) {
    var scene = Scene()
    scene.status = StatusLine(state: "leader")
    scene.post(.ready)
    scene.run(seconds: 10)
    _ = scene.take()
    scene.running[loop] = false
    scene.run(seconds: 60)
    let name = ["member thread", "event loop 0"][loop]
    // The question of second 8 was answered still.
    #expect(scene.take() == ["12: WATCHDOG=1", "16: STATUS=not responding: \(name); leader"])
    // It comes back before systemd has lost patience.
    scene.running[loop] = true
    scene.answers = [1_000, 1_000]
    scene.run(seconds: 1)
    #expect(scene.take().contains { $0.hasSuffix("WATCHDOG=1") })
}

@Test func noWatchdogMessagesWhereNobodyAskedForThem() {
    var scene = Scene(watchdog: nil)
    scene.status = StatusLine(state: "leader")
    scene.post(.ready)
    scene.run(seconds: 100)
    #expect(scene.take() == ["0: READY=1 STATUS=leader"])
}

@Test func statusIsRefreshedAtABoundedRate() {
    var scene = Scene(watchdog: nil)
    scene.status = StatusLine(state: "leader", activity: "0 requests/s")
    scene.post(.ready)
    _ = scene.take()
    // Figures alone: every ten seconds.
    for second in 1...30 {
        scene.status?.activity = "\(second) requests/s"
        scene.run(seconds: 1)
    }
    let figures = scene.take()
    #expect((2...3).contains(figures.count), "\(figures)")
    // A change of state is told within a second, and no more often than that.
    for step in 0..<100 {
        scene.status?.state = "state \(step)"
        scene.run(seconds: 1)
    }
    #expect((99...101).contains(scene.take().count))
}

@Test func reload() {
    var scene = Scene(watchdog: nil)
    scene.status = StatusLine(state: "leader")
    scene.post(.reloading)
    #expect(scene.take() == [], "before it is ready there is nothing to reload")
    scene.post(.ready)
    _ = scene.take()
    scene.post(.reloading)
    scene.post(.reloaded(problem: nil))
    scene.post(.reloading)
    scene.post(.reloaded(problem: "no such file"))
    #expect(
        scene.take() == [
            "0: RELOADING=1 MONOTONIC_USEC=1000000000 STATUS=reloading", "0: READY=1 STATUS=leader",
            "0: RELOADING=1 MONOTONIC_USEC=1000000000 STATUS=reloading",
            "0: READY=1 STATUS=reload failed, the old configuration stays: no such file",
        ])
}

@Test func aFailureIsTheLastWord() {
    var scene = Scene()
    scene.post(.failed(ServiceFailure("the disk\nis gone", exitCode: 74, errno: 5)))
    scene.post(.stopping("stopping", longest: .seconds(20)))
    scene.run(seconds: 30)
    #expect(scene.take() == ["0: STOPPING=1 STATUS=the disk is gone ERRNO=5 EXIT_STATUS=74"])
}

@Test func aStopThatTakesLongBuysTime() {
    var scene = Scene()
    scene.status = StatusLine(state: "leader")
    scene.post(.ready)
    scene.post(.stopping("stopping", longest: .seconds(20)))
    _ = scene.take()
    for _ in 0..<20 {
        scene.post(.progress("closing clients' connections"))
        scene.run(seconds: 1)
    }
    #expect((3...5).contains(scene.take().count))
}
