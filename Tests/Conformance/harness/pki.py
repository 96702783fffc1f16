"""Authorities and certificates, made with the openssl command."""

import pathlib
import ssl
import subprocess
from dataclasses import dataclass

import grpc

LOOPBACK = "DNS:localhost,IP:127.0.0.1,IP:::1"


def openssl(*arguments, text=None):
    done = subprocess.run(["openssl", *map(str, arguments)], input=text, capture_output=True, text=True)
    assert done.returncode == 0, f"openssl {arguments}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: pathlib.Path
    key: pathlib.Path

    def replace_by(self, other):
        """Puts another pair into these files at once, as tools that renew certificates do."""
        for mine, theirs in ((self.certificate, other.certificate), (self.key, other.key)):
            fresh = mine.with_suffix(".new")
            fresh.write_bytes(theirs.read_bytes())
            fresh.rename(mine)


class Authority:
    """One authority in a folder of its own."""

    def __init__(self, folder, name="etcd-ca"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.certificate, self.key = self.folder / "ca.crt", self.folder / "ca.key"
        openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.certificate, "-days", 3650,
            "-subj", f"/CN={name}", "-addext", "keyUsage=critical,digitalSignature,keyCertSign,cRLSign",
        )  # fmt: skip

    def issue(self, name, common_name=None, usages="serverAuth,clientAuth", names=LOOPBACK, days=365, subject=None):
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pair.key, "-out", request,
            "-subj", subject or f"/CN={common_name or name}",
        )  # fmt: skip
        lines = ["keyUsage=critical,digitalSignature,keyEncipherment", f"extendedKeyUsage={usages}"]
        extensions.write_text("\n".join(lines + ([f"subjectAltName={names}"] if names else [])) + "\n")
        openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", days,
            "-extfile", extensions, "-out", pair.certificate,
        )  # fmt: skip
        return pair

    def revoke(self, *pairs):
        """A revocation list in DER, the form that every etcd release reads."""
        (self.folder / "index.txt").touch()
        (self.folder / "number").write_text("01\n")
        configuration = self.folder / "ca.cnf"
        configuration.write_text(
            f"[ca]\ndefault_ca=this\n[this]\ndatabase={self.folder}/index.txt\ncrlnumber={self.folder}/number\n"
            "default_md=sha256\ndefault_crl_days=30\n"
        )
        common = ["ca", "-config", configuration, "-keyfile", self.key, "-cert", self.certificate]
        for pair in pairs:
            openssl(*common, "-revoke", pair.certificate)
        openssl(*common, "-gencrl", "-out", self.folder / "crl.pem")
        revoked = self.folder / "crl.der"
        openssl("crl", "-in", self.folder / "crl.pem", "-outform", "DER", "-out", revoked)
        return revoked

    def context(self, pair=None):
        """For Python's own clients."""
        context = ssl.create_default_context(cafile=self.certificate)
        if pair:
            context.load_cert_chain(pair.certificate, pair.key)
        return context


class ClusterTLS:
    """One authority whose certificates members and clients show each other, and relays between members."""

    def __init__(self, folder):
        authority = Authority(folder)
        pair = authority.issue("member")
        names = {"trusted-ca-file": authority.certificate, "cert-file": pair.certificate, "key-file": pair.key}
        self.flags = ["--client-cert-auth", "--peer-client-cert-auth"]
        for name, file in names.items():
            self.flags += [f"--{name}", str(file), f"--peer-{name}", str(file)]
        #: Of etcdctl.
        self.words = ["--cacert", authority.certificate, "--cert", pair.certificate, "--key", pair.key]
        files = (authority.certificate, pair.key, pair.certificate)
        self.credentials = grpc.ssl_channel_credentials(*(file.read_bytes() for file in files))
        #: A relay ends TLS and begins it anew, for it has to know who speaks.
        self.accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.accepting.load_cert_chain(pair.certificate, pair.key)
        self.accepting.load_verify_locations(authority.certificate)
        self.accepting.verify_mode = ssl.CERT_REQUIRED
        self.connecting = authority.context(pair)
