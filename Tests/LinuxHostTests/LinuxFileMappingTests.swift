import Glibc
import Host
import LinuxHost
import Testing

@Suite struct LinuxFileMappingTests {
    @Test func growsUnderOneAddress() throws {
        let scratch = ScratchDirectory()
        let file = try LinuxDisk().open(scratch.path + "/db", .createNew(permissions: 0o600))
        try file.setSize(4096)
        let mapping = try #require(try file.map(capacity: 1 << 34))
        #expect(mapping.capacity == 1 << 34)
        #expect(mapping.base.load(fromByteOffset: 4095, as: UInt8.self) == 0)
        try bytes("grown").withUnsafeBytes { try file.write($0, at: 1 << 20) }
        #expect(mapping.base.load(fromByteOffset: 1 << 20, as: UInt8.self) == UInt8(ascii: "g"))
        file.close()
        #expect(mapping.base.load(fromByteOffset: (1 << 20) + 4, as: UInt8.self) == UInt8(ascii: "n"))
    }

    @Test func whatWasLetGoIsFoundAgain() throws {
        let scratch = ScratchDirectory()
        let file = try LinuxDisk().open(scratch.path + "/db", .createNew(permissions: 0o600))
        try bytes("kept").withUnsafeBytes { try file.write($0, at: 1 << 16) }
        let mapping = try #require(try file.map(capacity: 1 << 20))
        for range in [0..<1 << 17, 1 << 16..<1 << 30, 1 << 30..<1 << 31] {
            #expect(mapping.base.load(fromByteOffset: 1 << 16, as: UInt8.self) == UInt8(ascii: "k"))
            mapping.letGo(of: range)
        }
        #expect(mapping.base.load(fromByteOffset: 1 << 16, as: UInt8.self) == UInt8(ascii: "k"))
        file.close()
    }

    @Test func emptyRangesAreRefused() throws {
        let scratch = ScratchDirectory()
        let file = try LinuxDisk().open(scratch.path + "/db", .createNew(permissions: 0o600))
        #expect { try file.map(capacity: 0) } throws: { ($0 as? DiskError)?.code == EINVAL }
    }

    @Test func aTruncatedFileEndsTheProcessWithPathAndOffset() async throws {
        let result = await #expect(processExitsWith: .exitCode(74), observing: [\.standardErrorContent]) {
            installSIGBUSHandler()
            try touchTruncated()
        }
        let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        let line = text.split(separator: "\n").first { $0.hasPrefix("disk failure: ") }
        #expect(line?.hasPrefix("disk failure: cannot read the page of /tmp/linux-host-") == true, "\(text)")
        #expect(line?.hasSuffix("/db at offset 12293: read error, or the file was truncated") == true, "\(text)")
    }

    @Test func theExitCodeIsChosenByTheInstaller() async {
        await #expect(processExitsWith: .exitCode(9)) {
            installSIGBUSHandler(exitCode: 8)
            installSIGBUSHandler(exitCode: 9)
            try touchTruncated()
        }
    }

    @Test func aFaultInAMappingThatIsGoneIsABug() async {
        await #expect(processExitsWith: .signal(SIGBUS)) {
            installSIGBUSHandler()
            let scratch = ScratchDirectory()
            let file = try LinuxDisk().open(scratch.path + "/db", .createNew(permissions: 0o600))
            try file.setSize(4096)
            _ = try file.map(capacity: 1 << 20)
            // The same file mapped by somebody who does not register it, most likely where the other mapping was.
            let descriptor = open(file.path, O_RDONLY)
            try LinuxDisk().removeTree(scratch.path)
            let address = mmap(nil, 1 << 20, PROT_READ, MAP_SHARED, descriptor, 0)
            print(address!.load(fromByteOffset: 8192, as: UInt8.self))
        }
    }

    @Test func aSignalSentFromOutsideKeepsItsMeaning() async {
        await #expect(processExitsWith: .signal(SIGBUS)) {
            installSIGBUSHandler()
            kill(getpid(), SIGBUS)
            pause()
        }
    }

    @Test func slotsAreGivenBack() throws {
        let scratch = ScratchDirectory()
        let file = try LinuxDisk().open(scratch.path + "/db", .createNew(permissions: 0o600))
        try file.setSize(4096)
        for _ in 0..<3000 { _ = try file.map(capacity: 4096) }
    }

    @Test func moreMappingsThanTheTableHoldsAreAnError() async {
        await #expect(processExitsWith: .success) {
            let scratch = ScratchDirectory()
            let file = try LinuxDisk().open(scratch.path + "/db", .createNew(permissions: 0o600))
            var held: [any FileMapping] = []
            for _ in 0..<1024 { held.append(try #require(try file.map(capacity: 4096))) }
            #expect { try file.map(capacity: 4096) } throws: { ($0 as? DiskError)?.code == ENOMEM }
            held.removeLast()
            _ = try file.map(capacity: 4096)
        }
    }
}

/// Cuts a file under its mapping and touches what is gone: offset 3 * 4096 + 5.
private func touchTruncated() throws {
    let scratch = ScratchDirectory()
    let file = try LinuxDisk().open(scratch.path + "/db", .createNew(permissions: 0o600))
    try file.setSize(65536)
    // Mappings before and after, so that finding the right one is not luck.
    let before = try file.map(capacity: 1 << 20)
    let other = try LinuxDisk().open(scratch.path + "/db", .readOnly)
    let mapping = try #require(try other.map(capacity: 1 << 20))
    let after = try file.map(capacity: 1 << 20)
    try file.setSize(4096)
    // The mapped file lives on without its name; nobody else could remove it later.
    try LinuxDisk().removeTree(scratch.path)
    print(mapping.base.load(fromByteOffset: 3 * 4096 + 5, as: UInt8.self))
    withExtendedLifetime((before, after)) {}
}
