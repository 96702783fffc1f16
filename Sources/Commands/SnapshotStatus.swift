import Backend
import Bytes
import Glibc
import Host
import PageStore

/// What a saved database holds, as `etcdutl snapshot status` counts it.
struct SnapshotStatus: Equatable {
    /// CRC-32C over every bucket's name, keys and values.
    var hash: UInt32 = 0
    /// The newest revision.
    var revision: Int64 = 0
    /// Of all buckets together.
    var keys = 0
    /// Bytes of all pages, free ones included.
    var size = 0

    /// Checks the whole file, then counts.
    static func read(_ path: String, on disk: any Disk) throws(CommandFailure) -> SnapshotStatus {
        do {
            var options = PageFileOptions()
            options.isReadOnly = true
            let transaction = try PageFile.open(disk: disk, path: path, options: options).beginRead()
            let report = try transaction.check()
            guard report.isSound else { throw CommandFailure("snapshot file integrity check failed: \(report)") }
            var status = SnapshotStatus()
            status.size = transaction.size
            try status.count(transaction)
            return status
        } catch let error as CommandFailure {
            throw error
        } catch {
            throw CommandFailure("\(error)")
        }
    }

    private mutating func count(_ transaction: ReadTransaction) throws(PageFileError) {
        var buckets = transaction.root.cursor()
        var isBucket = try buckets.first()
        while isBucket {
            let name = [UInt8](buckets.key)
            hash = CRC32C.update(hash, name)
            var cursor = try transaction.root.bucket(at: buckets).cursor()
            var isValid = try cursor.first()
            while isValid {
                hash = CRC32C.update(hash, cursor.key)
                hash = CRC32C.update(hash, cursor.value)
                keys += 1
                if name == BucketName.key.name, let main = RevisionKey.main(cursor.key) { revision = main }
                isValid = try cursor.next()
            }
            isBucket = try buckets.next()
        }
    }

    /// In the words and layouts of etcdutl; nil for a layout there is not.
    func text(as layout: String) -> String? {
        let row = [String(hash, radix: 16), "\(revision)", "\(keys)", SnapshotStatus.rounded(size)]
        switch layout {
        case "simple": return row.joined(separator: ", ")
        case "json": return #"{"hash":\#(hash),"revision":\#(revision),"totalKey":\#(keys),"totalSize":\#(size)}"#
        case "fields": return "\"Hash\" : \(hash)\n\"Revision\" : \(revision)\n\"Keys\" : \(keys)\n\"Size\" : \(size)"
        case "table": return SnapshotStatus.table(["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE"], row)
        default: return nil
        }
    }

    private static func table(_ head: [String], _ row: [String]) -> String {
        let widths = zip(head, row).map { max($0.utf8.count, $1.utf8.count) }
        func line(_ left: String, _ middle: String, _ right: String) -> String {
            left + widths.map { String(repeating: "─", count: $0 + 2) }.joined(separator: middle) + right
        }
        func spaces(_ count: Int) -> String { String(repeating: " ", count: count) }
        let centred = zip(head, widths).map { text, width in
            let room = width - text.utf8.count
            return " " + spaces(room / 2) + text + spaces(room - room / 2) + " "
        }
        let right = zip(row, widths).map { text, width in " " + spaces(width - text.utf8.count) + text + " " }
        return [
            line("┌", "┬", "┐"), "│" + centred.joined(separator: "│") + "│", line("├", "┼", "┤"),
            "│" + right.joined(separator: "│") + "│", line("└", "┴", "┘"),
        ].joined(separator: "\n")
    }

    /// A size as people read it, by thousands: one digit after the point below ten.
    static func rounded(_ bytes: Int) -> String {
        guard bytes >= 10 else { return "\(bytes) B" }
        var unit = 0
        var scale = 1
        while bytes / scale >= 1000, unit < 6 {
            scale *= 1000
            unit += 1
        }
        let tenths = Int((Double(bytes) / Double(scale) * 10 + 0.5).rounded(.down))
        // Halves go to the even number, as in Go's formatting.
        let whole = Int((Double(tenths) / 10).rounded(.toNearestOrEven))
        let number = tenths < 100 ? "\(tenths / 10).\(tenths % 10)" : "\(whole)"
        return number + " " + ["B", "kB", "MB", "GB", "TB", "PB", "EB"][unit]
    }
}

/// Keys of the `key` bucket: a revision's main number in eight bytes, `_`, its sub number, and a mark for deletions.
enum RevisionKey {
    static func main(_ key: UnsafeRawBufferPointer) -> Int64? {
        guard key.count >= 17 else { return nil }
        return Int64(bigEndian: key.loadUnaligned(as: Int64.self))
    }

    static func encode(main: Int64) -> [UInt8] {
        withUnsafeBytes(of: main.bigEndian) { Array($0) } + [UInt8(ascii: "_")] + [UInt8](repeating: 0, count: 8)
    }
}
