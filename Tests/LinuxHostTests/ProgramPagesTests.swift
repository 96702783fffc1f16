import Testing

@testable import LinuxHost

@Suite struct ProgramPagesTests {
    /// Only what the file holds as well: no heap, no shared mapping of data, nothing that is or was written to.
    @Test func onlyWhatTheFileHoldsIsGivenBack() {
        let smaps = """
            1000-3000 r--p 00000000 fe:00 7    /usr/bin/program
            Rss:                   8 kB
            Anonymous:             0 kB
            AnonHugePages:         0 kB
            3000-4000 r-xp 00002000 fe:00 7    /usr/bin/program with spaces
            Anonymous:             0 kB
            VmFlags: rd ex mr mw me
            4000-6000 r--p 00003000 fe:00 7    /usr/bin/program
            Anonymous:             8 kB
            6000-7000 rw-p 00005000 fe:00 7    /usr/bin/program
            Anonymous:             0 kB
            7000-8000 r--s 00000000 fe:00 9    /var/lib/db
            Anonymous:             0 kB
            8000-9000 rw-p 00000000 00:00 0    [heap]
            Anonymous:             0 kB
            9000-a000 r--p 00000000 00:00 0
            Anonymous:             0 kB
            ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]
            Anonymous:             0 kB
            nonsense
            Anonymous:             0 kB
            """
        #expect(ProgramPages.unchanged(in: smaps) == [0x1000..<0x3000, 0x3000..<0x4000])
    }

    @Test func theProgramGoesOn() {
        ProgramPages.giveBack()
        #expect("\(Double(3).squareRoot())".hasPrefix("1.732"))
    }
}
