/// What this build is, for `--version`.
public struct BuildVersion: Sendable, Equatable {
    /// Quorate's own version, as `0.1.0`.
    public var version: String
    /// The revision it was built from, or empty.
    public var revision: String

    public init(version: String, revision: String) {
        self.version = version
        self.revision = revision
    }

    /// The first two lines have etcd's form, because scripts cut the version out of `etcd Version: `; they tell the etcd version
    /// that the member behaves as. etcd's lines about Go are left out: nothing here is built with it.
    func text(behavingAs compatibility: CompatibilityVersion) -> String {
        #if arch(x86_64)
            let architecture = "amd64"
        #elseif arch(arm64)
            let architecture = "arm64"
        #else
            let architecture = "unknown"
        #endif
        return """
            etcd Version: \(compatibility.etcdVersion)
            Git SHA: \(revision.isEmpty ? "Not provided" : revision)
            Quorate Version: \(version)
            Quorate OS/Arch: linux/\(architecture)

            """
    }

    /// What the proxy prints: it behaves as no version of etcd.
    var proxyText: String { "Quorate Version: \(version)\n" }
}
