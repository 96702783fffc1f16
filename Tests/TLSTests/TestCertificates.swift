import Glibc
import TLS

@testable import struct TLS.CertificateDescription
@testable import struct TLS.IPAddressBytes
@testable import struct TLS.MadeCertificate

/// A directory with an authority and certificates, removed with this object.
final class TestCertificates {
    let directory: String
    let authority: MadeCertificate

    init(authorityName: String = "test authority") throws {
        var template = Array("/tmp/quorate-tls-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TLSError.settings("no scratch directory") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        authority = try Self.makeAuthority(authorityName)
        try write("ca.pem", authority.certificatePEM())
    }

    deinit {
        if let entries = opendir(directory) {
            while let entry = readdir(entries) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink(directory + "/" + name)
            }
            closedir(entries)
        }
        rmdir(directory)
    }

    static func makeAuthority(_ name: String) throws -> MadeCertificate {
        var description = CertificateDescription()
        description.commonName = name
        description.isAuthority = true
        description.uses = []
        description.keyUsages = ["keyCertSign", "cRLSign"]
        return try MadeCertificate(description)
    }

    func path(_ name: String) -> String { directory + "/" + name }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let descriptor = open(path(name), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0, Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw TLSError.settings("cannot write \(name)")
        }
        close(descriptor)
    }

    /// `NAME.pem` and `NAME-key.pem`, signed by the authority unless another is given.
    @discardableResult
    func issue(
        _ name: String, by issuer: MadeCertificate? = nil, _ change: (inout CertificateDescription) -> Void = { _ in }
    ) throws -> MadeCertificate {
        var description = CertificateDescription()
        description.commonName = name
        description.dnsNames = ["localhost"]
        description.ipAddresses = [IPAddressBytes("127.0.0.1")!]
        description.uses = [.server, .client]
        change(&description)
        let made = try MadeCertificate(description, issuer: issuer ?? authority)
        try write(name + ".pem", made.certificatePEM())
        try write(name + "-key.pem", made.keyPEM())
        return made
    }

    func serverSettings(_ name: String = "server") -> TLSServerSettings {
        TLSServerSettings(certificateFile: path(name + ".pem"), keyFile: path(name + "-key.pem"))
    }

    /// Trusts the authority; shows a certificate if one is named.
    func clientSettings(_ name: String? = nil) -> TLSClientSettings {
        var settings = TLSClientSettings()
        settings.trustedAuthorityFile = path("ca.pem")
        if let name {
            settings.certificateFile = path(name + ".pem")
            settings.keyFile = path(name + "-key.pem")
        }
        return settings
    }
}
