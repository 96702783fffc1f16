import Host

/// Why an operation on a page file failed: which file, which page where one is at fault, and the reason.
public struct PageFileError: Error, Equatable, Sendable, CustomStringConvertible {
    public let path: String
    /// The page at fault, where one is.
    public let page: PageID?
    public let reason: Reason

    public init(path: String, page: PageID? = nil, reason: Reason) {
        self.path = path
        self.page = page
        self.reason = reason
    }

    public enum Reason: Equatable, Sendable {
        /// The disk refused; after a failed write or sync the file object answers everything with this.
        case disk(DiskError)
        /// Another process (etcd, etcdutl, Quorate) holds the file's `flock`.
        case lockedByAnotherProcess
        /// Neither meta page can be used.
        case notAPageFile(meta0: MetaProblem, meta1: MetaProblem)
        /// The file ends before the pages its meta page promises.
        case fileTooShort(size: Int, needed: Int)
        case corrupt(Corruption)
        case unsupportedPageSize(Int)
        case closed
        case readOnly
        /// A second write transaction was begun while one is open.
        case writeTransactionOpen
        case emptyKey
        /// Longer than 32,768 bytes, bbolt's limit.
        case keyTooLong(Int)
        /// Longer than 2^31 - 2 bytes, bbolt's limit.
        case valueTooLong(Int)
        case bucketMissing
        /// The name is taken by an ordinary key.
        case notABucket
        /// The key is taken by a bucket.
        case isABucket
        /// The page asked for lies outside the file.
        case pageOutOfRange
    }

    public var description: String {
        let place = page.map { " page \($0)" } ?? ""
        return "page file \(path)\(place): \(reason)"
    }
}

/// What is wrong with one meta page.
public enum MetaProblem: Equatable, Sendable, CustomStringConvertible {
    case missing
    case wrongMagic(UInt32)
    case wrongVersion(UInt32)
    case wrongChecksum
    case unsupportedPageSize(UInt32)
    /// The checksum is right, and yet the root or the free list lies outside the file.
    case pageOutOfRange(PageID)
    /// The checksum is right, and yet no file lives to see so many transactions.
    case transactionOutOfRange(UInt64)

    public var description: String {
        switch self {
        case .missing: "missing"
        case .wrongMagic(let found): "wrong magic number 0x\(String(found, radix: 16))"
        case .wrongVersion(let found): "wrong version \(found)"
        case .wrongChecksum: "wrong checksum"
        case .unsupportedPageSize(let size): "unsupported page size \(size)"
        case .pageOutOfRange(let page): "refers to page \(page) outside the file"
        case .transactionOutOfRange(let number): "transaction \(number) out of range"
        }
    }
}

/// What is wrong with a page's content.
public enum Corruption: Equatable, Sendable, CustomStringConvertible {
    /// A page number below 2 or past the transaction's last page.
    case pageOutOfRange
    /// The page says it is another one.
    case wrongPageNumber(PageID)
    /// The page is not of a kind that may stand here.
    case wrongKind(flags: UInt16)
    /// The overflow count reaches past the transaction's last page.
    case overflowOutOfRange(UInt32)
    /// The element table does not fit into the page.
    case tooManyElements(Int)
    /// An element's key or value lies outside the page.
    case elementOutsidePage(index: Int)
    case emptyKey(index: Int)
    /// A branch without children, or an empty leaf below a branch.
    case emptyPage
    case treeTooDeep
    case keysOutOfOrder
    /// A bucket's value is too short for its header or its inline page.
    case badBucket
    case bucketsTooDeep
    /// Two parents refer to the page.
    case referencedTwice
    case freedTwice
    /// The page ends early although the file's size was sufficient at open.
    case shortRead(bytes: Int)

    public var description: String {
        switch self {
        case .pageOutOfRange: "page number out of range"
        case .wrongPageNumber(let found): "the page calls itself \(found)"
        case .wrongKind(let flags): "unexpected page flags 0x\(String(flags, radix: 16))"
        case .overflowOutOfRange(let count): "\(count) overflow pages reach past the end"
        case .tooManyElements(let count): "\(count) elements do not fit"
        case .elementOutsidePage(let index): "element \(index) lies outside the page"
        case .emptyKey(let index): "element \(index) has an empty key"
        case .emptyPage: "the page is empty"
        case .treeTooDeep: "the tree is deeper than \(PageFormat.depthLimit) levels"
        case .keysOutOfOrder: "keys out of order"
        case .badBucket: "malformed bucket header"
        case .bucketsTooDeep: "buckets nested deeper than \(PageFormat.bucketDepthLimit) levels"
        case .referencedTwice: "referred to twice"
        case .freedTwice: "freed twice"
        case .shortRead(let bytes): "only \(bytes) bytes could be read"
        }
    }
}
