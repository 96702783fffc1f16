import Glibc
import LinuxHost

/// A directory of its own for one test, removed at the end.
struct ScratchDirectory: ~Copyable {
    let path: String

    init() {
        var template = Array("/tmp/linux-host-XXXXXX".utf8CString)
        let made = mkdtemp(&template)
        precondition(made != nil, "no temporary directory")
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit { try? LinuxDisk().removeTree(path) }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
