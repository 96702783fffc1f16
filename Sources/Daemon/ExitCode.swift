import Glibc

/// The process's exit codes, for units and scripts.
public enum ExitCode {
    public static let success: Int32 = 0
    /// Wrong configuration; flags that do not parse give 2.
    public static let configuration: Int32 = 1
    /// Bytes on disk that cannot be right: the member refuses to serve them.
    public static let corrupt: Int32 = 65
    /// A listener cannot be opened.
    public static let cannotListen: Int32 = 69
    /// A write, a sync or a mapped read failed.
    public static let diskFailure: Int32 = 74
    /// Another process holds the data directory.
    public static let locked: Int32 = 75
    /// This member was removed from the cluster: starting it again is pointless.
    public static let removed: Int32 = 76

    /// The `errno` value that says nearly the same, for systemd.
    public static func errno(for code: Int32) -> Int32 {
        switch code {
        case corrupt: EUCLEAN
        case cannotListen: EADDRNOTAVAIL
        case diskFailure: EIO
        case locked: EBUSY
        case removed: ESHUTDOWN
        default: EINVAL
        }
    }
}
