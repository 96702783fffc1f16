import Glibc
import NIOCore

extension System {
    /// Client connections this process may hold: its open files, less 150 that the member needs for itself, as in etcd.
    static var connectionLimit: Int {
        var limits = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0 else { return 1024 }
        return max(16, Int(clamping: limits.rlim_cur) - 150)
    }
}
