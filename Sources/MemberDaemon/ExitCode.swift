/// The process's exit codes, for units and scripts.
public enum ExitCode {
    public static let success: Int32 = 0
    /// Wrong configuration, or a listener that cannot be opened; flags that do not parse give 2.
    public static let configuration: Int32 = 1
    /// Bytes on disk that cannot be right: the member refuses to serve them.
    public static let corrupt: Int32 = 65
    /// A write, a sync or a mapped read failed.
    public static let diskFailure: Int32 = 74
    /// Another process holds the data directory.
    public static let locked: Int32 = 75
    /// This member was removed from the cluster: starting it again is pointless.
    public static let removed: Int32 = 76
}
