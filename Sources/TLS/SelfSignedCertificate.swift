import Glibc

/// A certificate made at start for a listener that has none, in the files and the form that etcd leaves behind: `cert.pem` and
/// `key.pem`, ECDSA on P-521, organization `etcd`. Source: `SelfCert` in `client/pkg/transport/listener.go` of etcd 3.6.
public struct SelfSignedCertificate: Sendable {
    public let certificateFile: String
    public let keyFile: String
    /// False when both files were there already; they are used as they are.
    public let isNew: Bool

    /// `hosts`: names and addresses without ports; empty ones are left out.
    public init(directory: String, hosts: [String], years: UInt64) throws(TLSError) {
        guard years > 0 else { throw .settings("selfSignedCertValidity is invalid,it should be greater than 0") }
        try Self.makeDirectories(directory)
        certificateFile = directory + "/cert.pem"
        keyFile = directory + "/key.pem"
        if access(certificateFile, F_OK) == 0, access(keyFile, F_OK) == 0 {
            isNew = false
            return
        }
        var description = CertificateDescription()
        description.organization = "etcd"
        description.keyUsages = ["digitalSignature", "keyEncipherment", "cRLSign"]
        description.isAuthority = true
        for host in hosts where !host.isEmpty {
            if let address = IPAddressBytes(host) {
                description.ipAddresses.append(address)
            } else {
                description.dnsNames.append(host)
            }
        }
        // Past 2,000 years X.509's four-digit years are used up soon.
        description.notAfter = Int(min(years, 2_000)) * 365 * 86_400
        let made = try MadeCertificate(description)
        try Self.write(made.certificatePEM(), to: certificateFile, mode: 0o666)
        try Self.write(made.keyPEM(), to: keyFile, mode: 0o600)
        isNew = true
    }

    private static func makeDirectories(_ path: String) throws(TLSError) {
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            made += "/" + part
            guard mkdir(made, 0o700) == 0 || errno == EEXIST else { throw CredentialFiles.failure("mkdir " + made) }
        }
    }

    private static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(TLSError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw CredentialFiles.failure("open " + path) }
        defer { close(descriptor) }
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else { throw CredentialFiles.failure("write " + path) }
    }
}
