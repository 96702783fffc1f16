import Daemon
import Member
import WAL

extension MemberFailure {
    var exitCode: Int32 {
        switch self {
        case .configuration: ExitCode.configuration
        case .locked: ExitCode.locked
        case .disk, .store, .log(.disk), .snapshot(.disk): ExitCode.diskFailure
        case .raft, .log, .snapshot, .apply, .directory: ExitCode.corrupt
        }
    }
}
