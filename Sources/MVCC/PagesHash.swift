import Backend
import Bytes
import PageStore

extension ReadView {
    /// `Maintenance.Hash`: CRC-32C over every bucket's name, keys and values in order, without what differs between members: the applied
    /// index and term, the storage version (as etcd from 3.6 on; 3.5 has none), and Quorate's own. Reads the whole file: run it where
    /// nothing waits for it.
    public func hashPages() throws(PageFileError) -> UInt32 {
        var crc: UInt32 = 0
        var buckets = pages.root.cursor()
        var isBucket = try buckets.first()
        while isBucket {
            let name = [UInt8](buckets.key)
            crc = CRC32C.update(crc, name)
            var cursor = try pages.root.bucket(at: buckets).cursor()
            var isValid = try cursor.first()
            while isValid {
                if !ReadView.isLocal(name, cursor.key) {
                    crc = CRC32C.update(crc, cursor.key)
                    crc = CRC32C.update(crc, cursor.value)
                }
                isValid = try cursor.next()
            }
            isBucket = try buckets.next()
        }
        return crc
    }

    private static let localKeys = [MetaKey.consistentIndex, MetaKey.term, MetaKey.storageVersion, MetaKey.leaseRemainders]

    private static func isLocal(_ bucket: [UInt8], _ key: UnsafeRawBufferPointer) -> Bool {
        bucket == BucketName.meta.name && localKeys.contains { key.elementsEqual($0) }
    }
}
