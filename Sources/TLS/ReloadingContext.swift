import Glibc
import Synchronization

/// The context made from the newest files that can be used. From any thread.
///
/// Whether the files changed is looked at for each new connection, as etcd reads them for each: a few `stat` calls against the cost of
/// a handshake. Unlike etcd's, the bundle of authorities and the revocation list are files like the others.
final class ReloadingContext: Sendable {
    private struct State {
        var current: LibraryContext
        /// Of the files that ``current`` was made from, or that could not be used; nil to look again.
        var seen: [FileFingerprint]?
        var lastFailure: TLSError?
    }

    private let sources: @Sendable () -> LibraryContext.Sources
    private let log: @Sendable (TLSLogRecord) -> Void
    private let state: Mutex<State>

    init(
        _ sources: @escaping @Sendable () -> LibraryContext.Sources, log: @escaping @Sendable (TLSLogRecord) -> Void
    ) throws(TLSError) {
        self.sources = sources
        self.log = log
        let first = sources()
        let seen = FileFingerprint.settled(first.files)
        state = Mutex(State(current: try LibraryContext(first), seen: seen))
    }

    /// The newest usable context.
    func current() -> LibraryContext { look(always: false) }

    /// Reads the files again, changed or not. Returns why they cannot be used.
    func reload() -> TLSError? {
        _ = look(always: true)
        return state.withLock { $0.lastFailure }
    }

    private func look(always: Bool) -> LibraryContext {
        let sources = sources()
        var record: TLSLogRecord?
        let context = state.withLock { state in
            let before = FileFingerprint.all(sources.files)
            if !always, let seen = state.seen, seen == before { return state.current }
            // A file that changed this very moment may change again without looking different.
            let hadSettled = state.seen != nil
            let settled = FileFingerprint.settled(sources.files)
            do throws(TLSError) {
                state.current = try LibraryContext(sources)
                if always || hadSettled || state.lastFailure != nil { record = .reloaded(files: sources.files) }
                state.lastFailure = nil
            } catch {
                if always || state.lastFailure != error { record = .reloadFailed(reason: error.description) }
                state.lastFailure = error
            }
            state.seen = settled
            return state.current
        }
        if let record { log(record) }
        return context
    }
}

/// What tells that a file is another one, or was written to.
private struct FileFingerprint: Equatable {
    var device: UInt = 0
    var inode: UInt = 0
    var size = 0
    var modifiedSeconds = 0
    var modifiedNanoseconds = 0
    var changedSeconds = 0
    var changedNanoseconds = 0

    /// All zeros when there is no such file.
    init(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return }
        device = UInt(status.st_dev)
        inode = UInt(status.st_ino)
        size = Int(status.st_size)
        (modifiedSeconds, modifiedNanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
        (changedSeconds, changedNanoseconds) = (status.st_ctim.tv_sec, status.st_ctim.tv_nsec)
    }

    static func all(_ paths: [String]) -> [FileFingerprint] { paths.map { FileFingerprint($0) } }

    /// nil while a file changed less than two seconds ago: file systems keep time coarsely, so that a change right after reading
    /// could look the same.
    static func settled(_ paths: [String]) -> [FileFingerprint]? {
        let found = all(paths)
        let now = time(nil)
        return found.contains { abs(now - $0.changedSeconds) < 2 } ? nil : found
    }
}
