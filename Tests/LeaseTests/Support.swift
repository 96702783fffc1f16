import Bytes
import Host

@testable import Lease

/// Seconds since an arbitrary start.
func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(1e12 + seconds * 1e9)) }

func makeTable() -> LeaseTable { LeaseTable(electionTimeout: .milliseconds(1000), heartbeatInterval: .milliseconds(100)) }

func refusal<T>(_ body: () throws(LeaseRefusal) -> T) -> LeaseRefusal? {
    do throws(LeaseRefusal) { _ = try body() } catch { return error }
    return nil
}

extension LeaseTable {
    /// A grant that must succeed.
    mutating func add(_ id: Int64, ttl: Int64, now: Instant = at(0)) {
        precondition((try? grant(id: id, ttl: ttl, now: now)) != nil)
    }
}

/// The `lease` bucket: what the changes of a table leave behind.
struct Bucket: Equatable {
    private(set) var records: [[UInt8]: [UInt8]] = [:]

    mutating func take(_ changes: [LeaseChange]) {
        for change in changes {
            switch change {
            case .put(let key, let value): records[key] = value
            case .delete(let key): records[key] = nil
            }
        }
    }

    func restored() throws -> LeaseTable {
        var table = makeTable()
        for (_, record) in records { try record.withUnsafeBytes { try table.restore($0) } }
        return table
    }
}
