import Glibc
import Host
import LinuxHost
import Testing

@Suite struct LinuxDiskTests {
    let disk = LinuxDisk()

    private func mode(_ path: String) -> UInt32 {
        var status = stat()
        #expect(stat(path, &status) == 0)
        return status.st_mode & 0o7777
    }

    private func write(_ text: String, _ path: String) throws {
        let file = try disk.open(path, .readWriteCreating(permissions: 0o600))
        try bytes(text).withUnsafeBytes { try file.write($0, at: 0) }
        file.close()
    }

    @Test func opensByMode() throws {
        let scratch = ScratchDirectory()
        let path = scratch.path + "/file"
        #expect { try disk.open(path, .readOnly) } throws: { ($0 as? DiskError)?.code == ENOENT }
        #expect { try disk.open(path, .readWrite) } throws: { ($0 as? DiskError)?.code == ENOENT }
        let created = try disk.open(path, .createNew(permissions: 0o600))
        #expect(created.path == path)
        #expect(mode(path) == 0o600)
        #expect { try disk.open(path, .createNew(permissions: 0o600)) } throws: { ($0 as? DiskError)?.code == EEXIST }
        _ = try disk.open(path, .readWriteCreating(permissions: 0o644))
        #expect(mode(path) == 0o600)
        let readOnly = try disk.open(path, .readOnly)
        let failure = #expect(throws: DiskError.self) { try bytes("x").withUnsafeBytes { try readOnly.write($0, at: 3) } }
        #expect(failure?.description == "write \(path) at offset 3: Bad file descriptor")
    }

    @Test func descriptorsAreClosedOnExec() throws {
        let scratch = ScratchDirectory()
        let file = try disk.open(scratch.path + "/file", .createNew(permissions: 0o600))
        let opened = try disk.list("/proc/self/fd").compactMap { Int32($0) }
        let own = opened.filter { descriptor in
            var target = [CChar](repeating: 0, count: 4096)
            let count = readlink("/proc/self/fd/\(descriptor)", &target, target.count - 1)
            return count > 0 && target.withUnsafeBufferPointer { String(cString: $0.baseAddress!) } == file.path
        }
        let flags = try #require(own.first.map { fcntl($0, F_GETFD) })
        #expect(flags & FD_CLOEXEC != 0)
    }

    @Test func listsSortedAndTellsWhatExists() throws {
        let scratch = ScratchDirectory()
        for name in ["b", "a", "é", "0-1.wal"] { try write(name, scratch.path + "/" + name) }
        #expect(try disk.list(scratch.path) == ["0-1.wal", "a", "b", "é"])
        #expect(try disk.exists(scratch.path + "/a"))
        #expect(try disk.exists(scratch.path))
        #expect(try !disk.exists(scratch.path + "/c"))
        #expect(try !disk.exists(scratch.path + "/a/below-a-file"))
        #expect { try disk.list(scratch.path + "/none") } throws: { ($0 as? DiskError)?.code == ENOENT }
        #expect { try disk.list(scratch.path + "/a") } throws: { ($0 as? DiskError)?.code == ENOTDIR }
    }

    @Test func createsDirectoriesWithParents() throws {
        let scratch = ScratchDirectory()
        let deep = scratch.path + "/data//member/wal/"
        try disk.createDirectory(deep, permissions: 0o700)
        try disk.createDirectory(deep, permissions: 0o700)
        for part in ["/data", "/data/member", "/data/member/wal"] { #expect(mode(scratch.path + part) == 0o700) }
        try write("x", scratch.path + "/plain")
        #expect { try disk.createDirectory(scratch.path + "/plain", permissions: 0o700) } throws: {
            ($0 as? DiskError)?.code == EEXIST
        }
        #expect { try disk.createDirectory(scratch.path + "/plain/below", permissions: 0o700) } throws: {
            ($0 as? DiskError)?.code == ENOTDIR
        }
    }

    @Test func renamesReplacingTheTarget() throws {
        let scratch = ScratchDirectory()
        try write("new", scratch.path + "/new")
        try write("old", scratch.path + "/old")
        try disk.rename(scratch.path + "/new", to: scratch.path + "/old")
        try disk.syncDirectory(scratch.path)
        #expect(try disk.list(scratch.path) == ["old"])
        #expect { try disk.rename(scratch.path + "/new", to: scratch.path + "/x") } throws: { ($0 as? DiskError)?.code == ENOENT }
    }

    @Test func removesTreesWithoutFollowingLinks() throws {
        let scratch = ScratchDirectory()
        let outside = scratch.path + "/outside"
        let tree = scratch.path + "/tree"
        try disk.createDirectory(outside, permissions: 0o700)
        try write("kept", outside + "/kept")
        try disk.createDirectory(tree + "/a/b/c", permissions: 0o700)
        for index in 0..<300 { try write("x", tree + "/a/b/\(index)") }
        #expect(symlink(outside, tree + "/link") == 0)
        // A name that is no UTF-8.
        let odd: [CChar] = Array((tree + "/a/").utf8CString.dropLast()) + [-1, -2, 0]
        #expect(close(creat(odd, 0o600)) == 0)
        #expect { try disk.remove(tree) } throws: { ($0 as? DiskError)?.code == ENOTEMPTY }
        try disk.removeTree(tree)
        #expect(try !disk.exists(tree))
        #expect(try disk.exists(outside + "/kept"))
        try disk.removeTree(tree)
        try disk.removeTree(outside + "/kept")
        #expect(try disk.list(outside).isEmpty)
    }
}
