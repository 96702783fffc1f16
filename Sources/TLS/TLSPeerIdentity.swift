import COpenSSL

/// What the other side's verified certificate says.
public struct TLSPeerIdentity: Sendable, Equatable {
    /// The subject's common name; the last when there are several, as Go takes it.
    public var commonName = ""
    public var dnsNames: [String] = []
    public var ipAddresses: [IPAddressBytes] = []

    public init() {}

    /// Whom the first certificate of a PEM file is for.
    public init(certificateFile: String) throws(TLSError) {
        self = try CredentialFiles.certificates(certificateFile)[0].withPointer { TLSPeerIdentity(certificate: $0) }
    }

    /// Reads a certificate that the library holds for the duration of the call.
    init(certificate: OpaquePointer) {
        commonName = Self.commonName(of: certificate)
        guard let names = copenssl_subject_names(certificate) else {
            LibraryErrors.clear()
            return
        }
        defer { GENERAL_NAMES_free(names) }
        for index in 0..<max(0, copenssl_count_names(names)) {
            guard let name = copenssl_name_at(names, index) else { continue }
            var kind: Int32 = 0
            guard let value = GENERAL_NAME_get0_value(name, &kind) else { continue }
            switch kind {
            case GEN_DNS: dnsNames.append(String(decoding: Self.bytes(value), as: UTF8.self))
            case GEN_IPADD:
                if let address = IPAddressBytes(Array(Self.bytes(value))) { ipAddresses.append(address) }
            default: break
            }
        }
    }

    private static func bytes(_ string: UnsafeMutableRawPointer) -> UnsafeBufferPointer<UInt8> {
        let string = string.assumingMemoryBound(to: ASN1_STRING.self)
        return UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
    }

    private static func commonName(of certificate: OpaquePointer) -> String {
        guard let subject = X509_get_subject_name(certificate) else { return "" }
        var found = ""
        var position: Int32 = -1
        while case let next = X509_NAME_get_index_by_NID(subject, NID_commonName, position), next >= 0 {
            position = next
            guard let data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, next)) else { continue }
            var text: UnsafeMutablePointer<UInt8>?
            let count = ASN1_STRING_to_UTF8(&text, data)
            guard count >= 0, let text else { continue }
            found = String(decoding: UnsafeBufferPointer(start: text, count: Int(count)), as: UTF8.self)
            copenssl_free_text(text)
        }
        LibraryErrors.clear()
        return found
    }
}
