import Testing

@testable import Configuration

struct SystemInputsTests {
    private let inputs = ConfigurationInputs.system(arguments: ["--name=a"])

    @Test func theEnvironmentIsRead() {
        #expect(inputs.environment["PATH"]?.isEmpty == false)
        #expect(inputs.arguments == ["--name=a"])
    }

    @Test func filesAreReadWholeOrRefusedInTheLibrarysWords() throws {
        #expect(try inputs.readFile(#filePath).count > 1_000)
        for (path, reason) in [
            ("/nonexistent", "no such file or directory"), ("/", "is a directory"), ("/dev/zero", "larger than 1048576 bytes"),
        ] {
            do {
                _ = try inputs.readFile(path)
                Issue.record("\(path) was read")
            } catch {
                #expect(error.reason == reason)
            }
        }
    }

    /// Whatever the machine's network is: an address, or none.
    @Test func theDefaultHostIsAnAddress() {
        if let host = inputs.defaultHost() { #expect(isAddress(host)) }
    }
}
