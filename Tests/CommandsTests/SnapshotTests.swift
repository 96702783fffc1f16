import Testing

@testable import Commands

@Test(arguments: [
    (0, "0 B"), (9, "9 B"), (999, "999 B"), (1_000, "1.0 kB"), (9_940, "9.9 kB"), (20_480, "20 kB"), (21_500, "22 kB"),
    (999_949, "1000 kB"), (25_000_000, "25 MB"), (2_147_483_648, "2.1 GB"),
])
func sizesAreRoundedAsEtcdsToolsRoundThem(size: Int, text: String) {
    #expect(SnapshotStatus.rounded(size) == text)
}

@Test func flagsStandAnywhereAmongTheWords() throws {
    let words = try CommandWords(
        ["file", "--name=a", "-w", "json", "--skip", "--off=false", "other"], values: ["name", "w"], switches: ["skip", "off"])
    #expect(words.others == ["file", "other"] && words.values == ["name": "a", "w": "json"] && words.switches == ["skip"])
    for (arguments, text) in [
        (["--other"], "unknown flag: --other"), (["--name"], "flag needs an argument: --name"),
        (["--skip=perhaps"], "invalid argument \"perhaps\" for \"--skip\": true or false is wanted"),
    ] {
        #expect(throws: CommandFailure.usage(text)) {
            _ = try CommandWords(arguments, values: ["name"], switches: ["skip"])
        }
    }
}
