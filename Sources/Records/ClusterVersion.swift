import Bytes

/// A version in etcd's three-part form. A cluster's version always has patch 0.
public struct ClusterVersion: Comparable, Hashable, Sendable, CustomStringConvertible {
    public var major: Int
    public var minor: Int
    public var patch: Int

    public init(_ major: Int, _ minor: Int, _ patch: Int = 0) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// Reads `3.5.0`: three decimal numbers and nothing else.
    public init(parsing text: String) throws(DecodeError) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { part in
            part.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } ? Int(part) : nil
        }
        guard parts.count == 3, let major = parts[0], let minor = parts[1], let patch = parts[2] else {
            throw .invalid("version \"\(text)\"")
        }
        self.init(major, minor, patch)
    }

    public var description: String { "\(major).\(minor).\(patch)" }

    /// Why members of these two releases do not fit into one cluster, nil where they do: those of 3.4 replicate what no later release
    /// without v2 store applies, and releases two apart do not read each other's entries.
    public func misfit(with other: ClusterVersion) -> String? {
        for release in [self, other] where release < ClusterVersion(3, 5) {
            return "a member runs etcd \(release.line), and 3.5 is the lowest there is"
        }
        guard major == other.major, abs(minor - other.minor) <= 1 else {
            return "members of \(other.line) and of \(line) do not fit into one cluster"
        }
        return nil
    }

    /// `3.5`.
    private var line: String { "\(major).\(minor)" }

    public static func < (a: ClusterVersion, b: ClusterVersion) -> Bool {
        (a.major, a.minor, a.patch) < (b.major, b.minor, b.patch)
    }
}
