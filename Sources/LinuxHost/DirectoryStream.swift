import Glibc
import Host

/// The entries of one directory, without "." and "..".
struct DirectoryStream: ~Copyable {
    private let stream: OpaquePointer
    private let path: String
    /// For the `...at` calls; owned by the stream.
    let descriptor: Int32

    /// Opens `name`, looked up in the directory `parent`; symbolic links are followed only from the working directory.
    init(path: String, at parent: Int32, name: UnsafePointer<CChar>) throws(DiskError) {
        let following = parent == AT_FDCWD ? 0 : O_NOFOLLOW
        let opened = try retryingInterrupts(CallSite("open", path)) {
            openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | following)
        }
        guard let stream = fdopendir(opened) else {
            let code = errno
            Glibc.close(opened)
            throw CallSite("open", path).failure(code)
        }
        self.stream = stream
        self.path = path
        descriptor = opened
    }

    deinit { closedir(stream) }

    /// The next entry's name, or nil at the end. Entries removed meanwhile do not disturb the others (POSIX).
    func next() throws(DiskError) -> Name? {
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                let code = errno
                if code != 0 { throw CallSite("read directory", path).failure(code) }
                return nil
            }
            let name = Name(entry)
            if name.text != "." && name.text != ".." { return name }
        }
    }

    /// A file name: any bytes but NUL and "/".
    struct Name {
        private let bytes: [CChar]
        /// As text; bytes that are no UTF-8 are replaced.
        let text: String

        init(_ entry: UnsafeMutablePointer<dirent>) {
            bytes = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                Array(raw.bindMemory(to: CChar.self).prefix { $0 != 0 }) + [0]
            }
            text = bytes.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        }

        func withBytes(_ body: (UnsafePointer<CChar>) throws(DiskError) -> Void) throws(DiskError) {
            try bytes.withUnsafeBufferPointer { (buffer) throws(DiskError) in try body(buffer.baseAddress!) }
        }
    }
}
