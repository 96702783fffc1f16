import Backend
import Bytes
import PageStore

extension ReadView {
    /// `Maintenance.Hash`: CRC-32C over every bucket's name, keys and values in order, without the applied index and term, which
    /// differ between members. Reads the whole file: run it where nothing waits for it.
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

    private static func isLocal(_ bucket: [UInt8], _ key: UnsafeRawBufferPointer) -> Bool {
        bucket == BucketName.meta.name
            && (key.elementsEqual(MetaKey.consistentIndex) || key.elementsEqual(MetaKey.term))
    }
}
