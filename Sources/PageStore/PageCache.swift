import Host
import Synchronization

/// Pages read from a file that cannot be mapped.
///
/// Whole runs (a page and its overflow) are kept under their first page's number. A run is dropped when its page is rewritten, and the
/// whole cache when it has outgrown `limit` at a moment when no transaction is open, because open transactions hold pointers into it.
final class PageCache: Sendable {
    /// A read that failed, without the file and page that the caller knows.
    struct Fault: Error {
        let reason: PageFileError.Reason
    }

    /// `@unchecked Sendable`: the memory is written once before it is published under the lock, and only read afterwards.
    private struct Run: @unchecked Sendable {
        let start: UnsafeMutableRawPointer
        let bytes: Int
    }

    private struct State {
        var runs: [PageID: Run] = [:]
        var bytes = 0
        var isClosed = false
    }

    private let file: any DiskFile
    private let pageSize: Int
    private let limit: Int
    private let state = Mutex(State())

    init(file: any DiskFile, pageSize: Int, limit: Int = 64 << 20) {
        self.file = file
        self.pageSize = pageSize
        self.limit = limit
    }

    deinit { state.withLock { removeAll(&$0) } }

    /// The memory of the page and, when its header is plausible, of its overflow.
    func page(_ id: PageID, limit: PageID) throws(Fault) -> UnsafeRawPointer {
        try state.withLock { (state) throws(Fault) -> UnsafeRawPointer in
            if let run = state.runs[id] { return UnsafeRawPointer(run.start) }
            if state.isClosed { throw Fault(reason: .closed) }
            let run = try read(id, limit: limit)
            state.runs[id] = run
            state.bytes += run.bytes
            return UnsafeRawPointer(run.start)
        }
    }

    private func read(_ id: PageID, limit: PageID) throws(Fault) -> Run {
        var run = Run(start: .allocate(byteCount: pageSize, alignment: 16), bytes: pageSize)
        do {
            try fill(run, id)
            let overflow = PageHeader.load(run.start).overflow
            if overflow > 0, id + UInt64(overflow) < limit {
                run.start.deallocate()
                let bytes = (Int(overflow) + 1) * pageSize
                run = Run(start: .allocate(byteCount: bytes, alignment: 16), bytes: bytes)
                try fill(run, id)
            }
        } catch {
            run.start.deallocate()
            throw error
        }
        return run
    }

    private func fill(_ run: Run, _ id: PageID) throws(Fault) {
        let read: Int
        do {
            read = try file.read(
                at: Int(id) * pageSize, into: UnsafeMutableRawBufferPointer(start: run.start, count: run.bytes))
        } catch {
            throw Fault(reason: .disk(error))
        }
        if read < run.bytes { throw Fault(reason: .corrupt(.shortRead(bytes: read))) }
    }

    /// Reads past the cache; returns how many bytes there were.
    func copy(at offset: Int, into target: UnsafeMutableRawBufferPointer) throws(Fault) -> Int {
        try state.withLock { (state) throws(Fault) -> Int in
            if state.isClosed { throw Fault(reason: .closed) }
            do throws(DiskError) { return try file.read(at: offset, into: target) } catch { throw Fault(reason: .disk(error)) }
        }
    }

    /// Forgets pages that were rewritten; nothing points into them any more.
    func drop(_ pages: PageRun) {
        state.withLock { state in
            for id in pages.id..<pages.end {
                guard let run = state.runs.removeValue(forKey: id) else { continue }
                state.bytes -= run.bytes
                run.start.deallocate()
            }
        }
    }

    /// Called when no transaction is open.
    func trim() {
        state.withLock { if $0.bytes > limit { removeAll(&$0) } }
    }

    /// The file is about to be closed; what is cached stays readable.
    func close() {
        state.withLock { $0.isClosed = true }
    }

    private func removeAll(_ state: inout State) {
        for run in state.runs.values { run.start.deallocate() }
        state.runs.removeAll()
        state.bytes = 0
    }
}
