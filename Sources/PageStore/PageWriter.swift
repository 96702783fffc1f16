import Host

/// Collects the new pages of a write transaction and writes neighbouring ones together.
///
/// Pages may be written before the transaction is complete: nothing refers to them until the meta page does.
struct PageWriter: ~Copyable {
    private struct Image {
        let run: PageRun
        let offset: Int
    }

    private let file: PageFile
    private let source: PageSource
    private(set) var fileSize: Int
    private var buffer: UnsafeMutableRawPointer?
    private var capacity = 0
    private var used = 0
    private var images: [Image] = []
    /// Bytes collected before they are written.
    private static let bufferSize = 1 << 20

    init(file: PageFile, source: PageSource, fileSize: Int) {
        self.file = file
        self.source = source
        self.fileSize = fileSize
    }

    deinit { buffer?.deallocate() }

    /// Memory for the image of new pages, to be filled by the caller at once and completely. `end` is one past the last page in use.
    mutating func image(_ run: PageRun, end: PageID) throws(PageFileError) -> UnsafeMutableRawBufferPointer {
        let bytes = run.count << source.shift
        if used + bytes > capacity {
            try flush(end: end)
            if bytes > capacity {
                buffer?.deallocate()
                capacity = max(bytes, PageWriter.bufferSize)
                buffer = .allocate(byteCount: capacity, alignment: 4096)
            }
        }
        images.append(Image(run: run, offset: used))
        used += bytes
        return UnsafeMutableRawBufferPointer(start: buffer! + images[images.count - 1].offset, count: bytes)
    }

    /// Writes what was collected, after growing the file to `end` pages. A failure poisons the file.
    mutating func flush(end: PageID) throws(PageFileError) {
        try grow(to: Int(end) << source.shift)
        // Pages come in the order of their numbers unless runs of several pages skipped holes.
        images.sort { $0.run.id < $1.run.id }
        var first = 0
        while first < images.count {
            var last = first
            while last + 1 < images.count, images[last + 1].run.id == images[last].run.end,
                images[last + 1].offset == images[last].offset + images[last].run.count << source.shift
            {
                last += 1
            }
            try write(
                PageRun(id: images[first].run.id, count: Int(images[last].run.end - images[first].run.id)), images[first].offset)
            first = last + 1
        }
        images.removeAll(keepingCapacity: true)
        used = 0
        // A value of many megabytes does not keep its memory.
        if capacity > PageWriter.bufferSize {
            buffer?.deallocate()
            buffer = nil
            capacity = 0
        }
    }

    private func write(_ run: PageRun, _ offset: Int) throws(PageFileError) {
        source.cache?.drop(run)
        let bytes = UnsafeRawBufferPointer(start: buffer! + offset, count: run.count << source.shift)
        try file.mustSucceed { (file) throws(DiskError) in try file.write(bytes, at: Int(run.id) << source.shift) }
    }

    private mutating func grow(to size: Int) throws(PageFileError) {
        guard size > fileSize else { return }
        let step = max(file.options.growthStep, 1 << source.shift)
        let target = (size + step - 1) / step * step
        try file.mustSucceed { (file) throws(DiskError) in try file.preallocate(target) }
        fileSize = target
    }

    /// Cuts the file off after `pages` pages, rounded up to a growth step, when more than another step could be given back.
    mutating func shrink(to pages: PageID) throws(PageFileError) {
        let step = max(file.options.growthStep, 1 << source.shift)
        let target = ((Int(pages) << source.shift) + step - 1) / step * step
        guard fileSize > target + step else { return }
        try file.mustSucceed { (file) throws(DiskError) in try file.setSize(target) }
        fileSize = target
    }
}

extension PageFile {
    /// Runs an operation after whose failure nothing is known of the disk.
    func mustSucceed(_ body: (any DiskFile) throws(DiskError) -> Void) throws(PageFileError) {
        do {
            try body(file)
        } catch {
            let failure = PageFileError(path: path, reason: .disk(error))
            poison(failure)
            throw failure
        }
    }
}
