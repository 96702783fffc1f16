import Glibc
import Host

/// The host's file systems. Every descriptor is closed on `exec`.
///
/// Permission bits are subject to the process's umask, as with any other program.
public final class LinuxDisk: Disk {
    public init() {}

    public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        let flags: Int32
        var permissions: UInt32 = 0
        switch mode {
        case .readOnly: flags = O_RDONLY
        case .readWrite: flags = O_RDWR
        case .readWriteCreating(let bits):
            flags = O_RDWR | O_CREAT
            permissions = bits
        case .createNew(let bits):
            flags = O_RDWR | O_CREAT | O_EXCL
            permissions = bits
        }
        let descriptor = try retryingInterrupts(CallSite("open", path)) {
            Glibc.open(path, flags | O_CLOEXEC, mode_t(permissions))
        }
        return LinuxFile(path: path, descriptor: descriptor)
    }

    public func list(_ directory: String) throws(DiskError) -> [String] {
        let stream = try DirectoryStream(path: directory, at: AT_FDCWD, name: directory)
        var names: [String] = []
        while let name = try stream.next() { names.append(name.text) }
        return names.sorted()
    }

    public func exists(_ path: String) throws(DiskError) -> Bool {
        var status = stat()
        if stat(path, &status) == 0 { return true }
        let code = errno
        if code == ENOENT || code == ENOTDIR { return false }
        throw CallSite("stat", path).failure(code)
    }

    /// Durable on return: every directory in which an entry was made is synced, because the caller cannot know which those are.
    public func createDirectory(_ path: String, permissions: UInt32) throws(DiskError) {
        if mkdir(path, mode_t(permissions)) == 0 {
            try syncDirectory(parent(of: path))
            return
        }
        let code = errno
        let parent = parent(of: path)
        switch code {
        case EEXIST where isDirectory(path): return
        case ENOENT where parent != path:
            try createDirectory(parent, permissions: permissions)
            if mkdir(path, mode_t(permissions)) != 0 {
                let code = errno
                if code != EEXIST || !isDirectory(path) { throw CallSite("mkdir", path).failure(code) }
            }
            try syncDirectory(parent)
        default: throw CallSite("mkdir", path).failure(code)
        }
    }

    public func rename(_ path: String, to target: String) throws(DiskError) {
        try retryingInterrupts(CallSite("rename", path)) { Glibc.rename(path, target) }
    }

    public func remove(_ path: String) throws(DiskError) {
        try retryingInterrupts(CallSite("remove", path)) { Glibc.remove(path) }
    }

    public func removeTree(_ path: String) throws(DiskError) {
        do {
            try removeEntry(path: path, at: AT_FDCWD, name: path)
        } catch  where error.code == ENOENT && error.path == path {
            return
        }
    }

    public func syncDirectory(_ path: String) throws(DiskError) {
        let descriptor = try retryingInterrupts(CallSite("open", path)) {
            Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        defer { Glibc.close(descriptor) }
        try retryingInterrupts(CallSite("fsync", path)) { fsync(descriptor) }
    }

    private func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The directory that holds an entry: "a" for "a/b/", "." for "b", "/" for "/b".
    private func parent(of path: String) -> String {
        var rest = path[...]
        while rest.count > 1, rest.last == "/" { rest.removeLast() }
        guard let slash = rest.lastIndex(of: "/") else { return "." }
        rest = rest[..<slash]
        while rest.last == "/" { rest.removeLast() }
        return rest.isEmpty ? "/" : String(rest)
    }

    /// Removes a file, or a directory with all it holds, without following symbolic links.
    private func removeEntry(path: String, at directory: Int32, name: UnsafePointer<CChar>) throws(DiskError) {
        if unlinkat(directory, name, 0) == 0 { return }
        let code = errno
        // POSIX answers EPERM for a directory, Linux EISDIR.
        guard code == EISDIR || code == EPERM else { throw CallSite("remove", path).failure(code) }
        do {
            let stream = try DirectoryStream(path: path, at: directory, name: name)
            while let entry = try stream.next() {
                try entry.withBytes { (bytes) throws(DiskError) in
                    try removeEntry(path: path + "/" + entry.text, at: stream.descriptor, name: bytes)
                }
            }
        }
        try retryingInterrupts(CallSite("remove", path)) { unlinkat(directory, name, AT_REMOVEDIR) }
    }
}
