import CNGHTTP2

/// One header field for the paths that are not hot. Names are lower case.
public struct HTTPField: Equatable, Sendable {
    public var name: String
    public var value: String
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// Header fields that never change, laid out once in libnghttp2's own form: sending them copies and allocates nothing.
///
/// Make one per `static let`: the memory lives as long as the process.
public struct HeaderTemplate: @unchecked Sendable {
    // Sendable: the fields are written here once, before the value can be shared, never freed, and libnghttp2 only reads them.
    let fields: UnsafePointer<nghttp2_nv>
    let count: Int

    public init(_ pairs: [(name: StaticString, value: StaticString)]) {
        let noCopy = UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue)
        let fields = UnsafeMutablePointer<nghttp2_nv>.allocate(capacity: max(pairs.count, 1))
        for (index, pair) in pairs.enumerated() {
            (fields + index).initialize(
                to: nghttp2_nv(
                    // The type asks for mutable memory; with the no-copy flags libnghttp2 never writes to it.
                    name: UnsafeMutablePointer(mutating: pair.name.utf8Start),
                    value: UnsafeMutablePointer(mutating: pair.value.utf8Start),
                    namelen: pair.name.utf8CodeUnitCount, valuelen: pair.value.utf8CodeUnitCount, flags: noCopy))
        }
        self.fields = UnsafePointer(fields)
        count = pairs.count
    }
}

/// Lends `fields` in libnghttp2's form. The library copies what it needs during the call.
func withLibraryFields<R>(_ fields: [HTTPField], _ body: (UnsafePointer<nghttp2_nv>, Int) -> R) -> R {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count })
    for field in fields {
        bytes.append(contentsOf: field.name.utf8)
        // A control character in a value would make the peer reset the stream, or worse, believe in a field that is not there.
        bytes.append(contentsOf: field.value.utf8.lazy.map { ($0 < 0x20 && $0 != 0x09) || $0 == 0x7f ? 0x20 : $0 })
    }
    return bytes.withUnsafeMutableBufferPointer { bytes in
        withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: max(fields.count, 1)) { entries in
            // An empty array may have no address, and then every length is zero.
            var next = bytes.baseAddress
            for (index, field) in fields.enumerated() {
                let (nameLength, valueLength) = (field.name.utf8.count, field.value.utf8.count)
                entries.initializeElement(
                    at: index,
                    to: nghttp2_nv(
                        name: next, value: next.map { $0 + nameLength }, namelen: nameLength, valuelen: valueLength,
                        flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)))
                next = next.map { $0 + nameLength + valueLength }
            }
            return body(UnsafePointer(entries.baseAddress!), fields.count)
        }
    }
}
