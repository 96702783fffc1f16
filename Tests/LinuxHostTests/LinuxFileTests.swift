import Glibc
import Host
import LinuxHost
import Testing

@Suite struct LinuxFileTests {
    private func open(_ scratch: borrowing ScratchDirectory) throws -> any DiskFile {
        try LinuxDisk().open(scratch.path + "/file", .readWriteCreating(permissions: 0o600))
    }

    private func read(_ file: any DiskFile, at offset: Int, count: Int) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0xaa, count: count)
        let got = try buffer.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
        return Array(buffer[..<got])
    }

    @Test func readsWhatWasWrittenAnywhere() throws {
        let scratch = ScratchDirectory()
        let file = try open(scratch)
        try bytes("hello").withUnsafeBytes { try file.write($0, at: 10) }
        #expect(try file.size() == 15)
        #expect(try read(file, at: 8, count: 100) == [0, 0] + bytes("hello"))
        #expect(try read(file, at: 15, count: 4).isEmpty)
        #expect(try read(file, at: 99, count: 4).isEmpty)
        try file.setSize(12)
        try file.syncData()
        try file.sync()
        #expect(try read(file, at: 10, count: 100) == bytes("he"))
    }

    @Test func preallocationGrowsAndNeverShrinks() throws {
        let scratch = ScratchDirectory()
        let file = try open(scratch)
        try file.preallocate(0)
        #expect(try file.size() == 0)
        try file.preallocate(1_000_000)
        #expect(try file.size() == 1_000_000)
        var status = stat()
        #expect(stat(file.path, &status) == 0)
        #expect(status.st_blocks * 512 >= 1_000_000)
        try file.preallocate(10)
        #expect(try file.size() == 1_000_000)
    }

    @Test func aFullDeviceIsAnErrorWithItsOffset() throws {
        let file = try LinuxDisk().open("/dev/full", .readWrite)
        let failure = #expect(throws: DiskError.self) { try bytes("x").withUnsafeBytes { try file.write($0, at: 0) } }
        #expect(failure?.code == ENOSPC)
        #expect(failure?.description == "write /dev/full at offset 0: No space left on device")
    }

    /// The size limit lets the kernel store the first part of a write: the rest must be tried and its failure reported.
    @Test func aWriteTheKernelTakesInPartIsContinued() async {
        await #expect(processExitsWith: .success) {
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 1000, rlim_max: 1000)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
            let scratch = ScratchDirectory()
            let file = try LinuxDisk().open(scratch.path + "/file", .createNew(permissions: 0o600))
            let failure = #expect(throws: DiskError.self) {
                try [UInt8](repeating: 1, count: 1500).withUnsafeBytes { try file.write($0, at: 0) }
            }
            #expect(failure?.code == EFBIG)
            #expect(failure?.offset == 1000)
            #expect(try file.size() == 1000)
        }
    }

    @Test func flocksExcludeEachOtherByKind() throws {
        let scratch = ScratchDirectory()
        let first = try open(scratch)
        let second = try open(scratch)
        #expect(try first.tryLock(.flockShared))
        #expect(try second.tryLock(.flockShared))
        #expect(try !second.tryLock(.flockExclusive))
        first.close()
        #expect(try second.tryLock(.flockExclusive))
        let third = try LinuxDisk().open(second.path, .readOnly)
        #expect(try !third.tryLock(.flockShared))
        second.close()
        #expect(try third.tryLock(.flockExclusive))
    }

    @Test func openFileDescriptionLocksExcludeWithinOneProcess() throws {
        let scratch = ScratchDirectory()
        let first = try open(scratch)
        let second = try open(scratch)
        #expect(try first.tryLock(.openFileDescription))
        #expect(try first.tryLock(.openFileDescription))
        #expect(try !second.tryLock(.openFileDescription))
        #expect(try second.tryLock(.flockExclusive))
        first.close()
        #expect(try second.tryLock(.openFileDescription))
        let readOnly = try LinuxDisk().open(second.path, .readOnly)
        second.close()
        #expect { try readOnly.tryLock(.openFileDescription) } throws: { ($0 as? DiskError)?.code == EBADF }
    }

    /// The kernel's table of locks shows the range: write, from 0 to the end of all files.
    @Test func openFileDescriptionLockCoversTheWholeFile() throws {
        let scratch = ScratchDirectory()
        let file = try open(scratch)
        #expect(try file.tryLock(.openFileDescription))
        var status = stat()
        #expect(stat(file.path, &status) == 0)
        let table = try LinuxDisk().open("/proc/locks", .readOnly)
        let lines = String(decoding: try read(table, at: 0, count: 1 << 20), as: UTF8.self).split(separator: "\n")
        let own = lines.filter { $0.contains(":\(status.st_ino) ") }
        #expect(own.count == 1)
        #expect(own.first?.contains("OFDLCK") == true && own.first?.contains("WRITE") == true)
        #expect(own.first?.hasSuffix(" 0 EOF") == true)
    }

    @Test func clocksAndRandomness() {
        let first = SystemClock.now()
        #expect(SystemClock.now() >= first)
        #expect(SystemClock.wallNanoseconds() > 1_700_000_000_000_000_000)
        #expect(SystemRandom.bytes(33).count == 33)
        #expect(SystemRandom.bytes(16) != SystemRandom.bytes(16))
        #expect(SystemRandom.number() != SystemRandom.number())
    }
}
