import Glibc
import Host

/// Where a system call was made, for the error it may end in.
struct CallSite {
    let operation: String
    let path: String
    var offset: Int?

    init(_ operation: String, _ path: String, offset: Int? = nil) {
        self.operation = operation
        self.path = path
        self.offset = offset
    }

    /// The error for an `errno` value. glibc's `strerror` answers from constant or thread-local memory since 2.32.
    func failure(_ code: Int32) -> DiskError {
        let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
        return DiskError(operation: operation, path: path, offset: offset, code: code, reason: reason)
    }
}

/// Calls again while a signal interrupts it, and throws `errno` when the answer is -1.
@discardableResult
func retryingInterrupts<Answer: FixedWidthInteger & SignedInteger>(
    _ site: @autoclosure () -> CallSite, _ call: () -> Answer
) throws(DiskError) -> Answer {
    while true {
        let answer = call()
        if answer != -1 { return answer }
        let code = errno
        if code != EINTR { throw site().failure(code) }
    }
}
