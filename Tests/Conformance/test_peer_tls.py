"""TLS between members: who may speak to the peer port, with which files members dial, and what takes effect without a restart."""

import json
import signal
import socket
import ssl

import pytest

from harness.cluster import Cluster
from harness.daemon import etcd, poll, quorate
from harness.pki import Authority
from harness.tls import Member, get, served_certificate


class Files:
    """A pair for the peer port, its authority, and the flags that name them."""

    def __init__(self, folder):
        self.authority = Authority(folder / "pki")
        self.server = self.authority.issue("live", "generation-1")
        self.bundle = folder / "bundle.crt"
        self.bundle.write_bytes(self.authority.certificate.read_bytes())
        self.flags = ["--peer-cert-file", self.server.certificate, "--peer-key-file", self.server.key,
                      "--peer-client-cert-auth", "--peer-trusted-ca-file", self.bundle]  # fmt: skip


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.fixture
def peer(daemons, reference):
    """A lone member whose peer port speaks TLS."""

    def make(files, *more, software=None):
        daemon = daemons(software or quorate(), "ours", peer_scheme="https", flags=list(map(str, [*files.flags, *more])))
        return Member(daemon, reference, daemon.client_url).start()

    return make


def is_let_in(one, files, pair):
    try:
        return get(one.daemon.peer_url, files.authority.context(pair), "/version")[0] == 200
    except (ssl.SSLError, OSError):
        return False


def reasons(one):
    # Earlier releases do not say on which port.
    lines = [json.loads(line) for line in one.daemon.log_text().splitlines() if "\"rejected connection" in line]
    return [line["error"] for line in lines]


def test_new_files_are_used_without_a_restart(peer, files, tmp_path):
    stranger = Authority(tmp_path / "strangers", "stranger")
    mallory = stranger.issue("mallory")
    node = files.authority.issue("node")
    one = peer(files)
    port = one.daemon.peer_port
    assert "generation-1" in served_certificate(port, files, node)
    files.server.replace_by(files.authority.issue("next", "generation-2"))
    assert "generation-2" in served_certificate(port, files, node)
    assert is_let_in(one, files, node) and not is_let_in(one, files, mallory)
    files.bundle.write_bytes(files.authority.certificate.read_bytes() + stranger.certificate.read_bytes())
    assert is_let_in(one, files, mallory)
    files.bundle.write_bytes(files.authority.certificate.read_bytes())
    assert not is_let_in(one, files, mallory)
    # Files that cannot be used leave those before in force; SIGHUP takes what can be used again.
    start = len(one.daemon.log_text())
    files.server.key.write_text("no key\n")
    one.daemon.process.send_signal(signal.SIGHUP)
    one.wait_for("new peer TLS files cannot be used; those before are still in use", start)
    assert "generation-2" in served_certificate(port, files, node)
    files.server.replace_by(files.authority.issue("last", "generation-3"))
    start = len(one.daemon.log_text())
    one.daemon.process.send_signal(signal.SIGHUP)
    one.wait_for("new peer TLS files are in use for new connections", start)
    assert "generation-3" in served_certificate(port, files, node)


def test_revoked_members_are_refused(peer, files):
    good, bad = files.authority.issue("good"), files.authority.issue("bad")
    one = peer(files, "--peer-crl-file", files.authority.revoke())
    assert is_let_in(one, files, good) and is_let_in(one, files, bad)
    files.authority.revoke(bad)
    assert is_let_in(one, files, good) and not is_let_in(one, files, bad)
    poll(lambda: reasons(one), 5, lambda: "no reason is told")
    assert len(reasons(one)) == 1 and reasons(one)[0].endswith(" revoked")


@pytest.mark.parametrize("software", ["etcd", "quorate"])
def test_names_that_are_allowed(peer, files, reference, software):
    named = files.authority.issue("named", names="DNS:localhost,DNS:*.members.example,IP:127.0.0.1")
    other = files.authority.issue("other")
    one = peer(
        files, "--peer-cert-allowed-hostname", "a.members.example", software=etcd(reference) if software == "etcd" else None
    )
    assert is_let_in(one, files, named) and not is_let_in(one, files, other)
    poll(lambda: reasons(one)[-1:] == ["client certificate authentication failed"], 5, lambda: reasons(one))


@pytest.mark.parametrize("flag", [None, "--experimental-peer-skip-client-san-verification"])
def test_addresses_in_certificates(peer, files, flag):
    """A certificate for another address is for whoever comes from there, unless nobody is to look."""
    elsewhere = files.authority.issue("elsewhere", names="IP:192.0.2.7")
    one = peer(files, *([flag] if flag else []))
    assert is_let_in(one, files, elsewhere) == (flag is not None)
    assert is_let_in(one, files, files.server)


def negotiated(one, files, **limits):
    """Version and cipher suite of a connection to the peer port, or None where it is refused."""
    context = files.authority.context(files.server)
    for name, value in limits.items():
        setattr(context, name, value)
    try:
        with socket.create_connection(("127.0.0.1", one.daemon.peer_port), 5) as connection:
            with context.wrap_socket(connection, server_hostname="localhost") as wrapped:
                return wrapped.version(), wrapped.cipher()[0]
    except (ssl.SSLError, ConnectionResetError):
        return None


def test_versions_and_suites_of_the_peer_port(peer, files):
    one = peer(files, "--tls-min-version", "TLS1.3")
    assert negotiated(one, files)[0] == "TLSv1.3"
    assert negotiated(one, files, maximum_version=ssl.TLSVersion.TLSv1_2) is None
    one.daemon.stop()
    only = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    one.daemon.flags = [*map(str, files.flags), "--cipher-suites", only, "--tls-max-version", "TLS1.2"]
    one.start()
    assert negotiated(one, files) == ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")
    assert negotiated(one, files, minimum_version=ssl.TLSVersion.TLSv1_3) is None


@pytest.mark.parametrize(
    "flags",
    [
        ["--tls-min-version", "TLS1.3"],
        ["--tls-max-version", "TLS1.2", "--cipher-suites", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
    ],
)
def test_members_agree_on_versions_and_suites(daemons, reference, files, flags):
    """Each dials and is dialed, by etcd too."""
    softwares = [quorate(), etcd(reference), quorate()]
    cluster = Cluster(daemons, softwares, reference, [*map(str, files.flags), *flags], peer_scheme="https").start()
    for each in cluster.members:
        cluster.lead(each)
        each.client.put(b"led by", each.name.encode())
    cluster.settle()


def test_members_dial_with_certificates_of_their_own(daemons, reference, files):
    """Certificates for servers only open no connection to a member; those of --peer-client-cert-file do, for etcd, too."""
    server = files.authority.issue("server", usages="serverAuth")
    client = files.authority.issue("client", usages="clientAuth")
    flags = [str(flag) for flag in files.flags]
    flags[1], flags[3] = str(server.certificate), str(server.key)
    dialing = ["--peer-client-cert-file", str(client.certificate), "--peer-client-key-file", str(client.key)]
    cluster = Cluster(daemons, [quorate(), etcd(reference), quorate()], reference, flags + dialing, peer_scheme="https").start()
    cluster.ctl("put", "a", "b")
    cluster.settle()
    # A member that dials with the server's certificate gets in nowhere.
    last = cluster[2]
    last.stop()
    last.flags = flags
    start = len(cluster[0].log_text())
    last.spawn()
    poll(
        lambda: "rejected connection on peer" in cluster[0].log_text(start), 20,
        lambda: f"the certificate is refused:\n{cluster[0].log_tail()}",
    )  # fmt: skip
