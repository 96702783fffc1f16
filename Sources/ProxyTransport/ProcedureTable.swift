import EtcdAPI
import Forwarding
import Glibc

/// Finds a procedure by the path of a request, without making a string of it.
struct ProcedureTable {
    struct Row {
        let path: [UInt8]
        let procedure: Procedure
        let kind: CallKind
    }

    /// By the length of the path: no two lengths share more than a few procedures.
    private let rows: [[Row]]

    init() {
        var rows: [[Row]] = []
        for procedure in Procedure.allCases {
            let path = Array(procedure.path.utf8)
            while rows.count <= path.count { rows.append([]) }
            rows[path.count].append(Row(path: path, procedure: procedure, kind: CallKind(procedure)))
        }
        self.rows = rows
    }

    func find(_ path: UnsafeRawBufferPointer) -> (procedure: Procedure, kind: CallKind)? {
        guard path.count < rows.count, let start = path.baseAddress else { return nil }
        for row in rows[path.count] where row.path.withUnsafeBytes({ memcmp($0.baseAddress!, start, path.count) == 0 }) {
            return (row.procedure, row.kind)
        }
        return nil
    }
}
