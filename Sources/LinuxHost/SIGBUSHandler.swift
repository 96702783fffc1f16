import Glibc
import Synchronization

/// The exit status of a process whose disk failed under a mapped page, unless another is chosen: `EX_IOERR` of sysexits(3).
public let defaultDiskFailureExitCode: Int32 = 74

/// Ends the process with one line on standard error and `exitCode` when a page of a mapped file cannot be read:
/// the disk failed, or somebody truncated the file. There is nobody to hand such an error to.
///
/// Any other SIGBUS gets the default action, which is what a bug deserves. May be called again to change the status.
public func installSIGBUSHandler(exitCode: Int32 = defaultDiskFailureExitCode) {
    // Both globals exist before the first signal: their initialisation must not happen inside the handler.
    _ = MappedRanges.shared
    chosenExitCode.store(exitCode, ordering: .sequentiallyConsistent)
    var action = sigaction()
    action.__sigaction_handler.sa_sigaction = handleSIGBUS
    action.sa_flags = SA_SIGINFO
    sigemptyset(&action.sa_mask)
    sigaction(SIGBUS, &action, nil)
}

private let chosenExitCode = Atomic<Int32>(defaultDiskFailureExitCode)

/// Runs on the faulting thread in the middle of a memory access, never inside the allocator or a lock.
/// Even so it stays with async-signal-safe calls: sigaction, raise, writev, _exit.
private func handleSIGBUS(_ signal: Int32, _ information: UnsafeMutablePointer<siginfo_t>?, _ context: UnsafeMutableRawPointer?) {
    // Codes up to 0 mean that a process sent the signal (SI_USER, SI_QUEUE, SI_TKILL): there is no address then.
    if let information, information.pointee.si_code > 0 {
        let address = UInt(bitPattern: information.pointee._sifields._sigfault.si_addr)
        if let place = MappedRanges.shared.find(address) {
            writeFailure(path: place.path, offset: place.offset)
            _exit(chosenExitCode.load(ordering: .relaxed))
        }
    }
    var action = sigaction()
    action.__sigaction_handler.sa_handler = SIG_DFL
    sigaction(SIGBUS, &action, nil)
    // Delivered when the handler returns.
    raise(SIGBUS)
}

/// Writes the line in one call, so that other writers do not break into it.
private func writeFailure(path: UnsafePointer<CChar>?, offset: UInt) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
        var first = digits.count
        var rest = offset
        repeat {
            first -= 1
            digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest != 0
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: 5) { pieces in
            pieces[0] = piece("disk failure: cannot read the page of ")
            pieces[1] = iovec(iov_base: UnsafeMutablePointer(mutating: path), iov_len: path.map { strlen($0) } ?? 0)
            pieces[2] = piece(" at offset ")
            pieces[3] = iovec(iov_base: digits.baseAddress! + first, iov_len: digits.count - first)
            pieces[4] = piece(": read error, or the file was truncated\n")
            _ = writev(STDERR_FILENO, pieces.baseAddress, 5)
        }
    }
}

private func piece(_ text: StaticString) -> iovec {
    iovec(iov_base: UnsafeMutablePointer(mutating: text.utf8Start), iov_len: text.utf8CodeUnitCount)
}
