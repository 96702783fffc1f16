"""TLS: certificates generated here, real etcdctl against the member under test, and real etcd where behaviour is compared."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess

import pytest

from harness import web
from harness.cluster import Cluster
from harness.daemon import clean_environment, etcd, free_ports, poll, quorate
from harness.pki import Authority, openssl
from harness.tls import Member, get, served_certificate

# Go's TLS of earlier releases refuses in other words, and etcd's log is silent about some refusals.
REFUSALS_SINCE = (3, 5, 30)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """An authority, a server's and a client's certificate, and a stranger's."""
    folder = tmp_path_factory.mktemp("pki")

    class Made:
        authority = Authority(folder / "ours")
        stranger = Authority(folder / "strangers", "stranger")

    Made.server = Made.authority.issue("server", "node1")
    Made.client = Made.authority.issue("client", "kube-etcd-healthcheck-client", "clientAuth", names=None)
    Made.mallory = Made.stranger.issue("mallory", usages="clientAuth")
    return Made


def server_flags(pki, pair=None, *more):
    pair = pair or pki.server
    return ["--cert-file", str(pair.certificate), "--key-file", str(pair.key), *map(str, more)]


def mutual_flags(pki, *more):
    return server_flags(pki, None, "--client-cert-auth", "--trusted-ca-file", pki.authority.certificate, *more)


@pytest.fixture
def member(daemons, reference):
    def make(flags, software=None, folder="ours", url=None):
        return Member(daemons(software or quorate(), folder, flags=flags), reference, url)

    return make


@pytest.mark.parametrize(
    "corruption_check", ["--experimental-initial-corrupt-check=true", "--feature-gates=InitialCorruptCheck=true"]
)
def test_kubeadms_static_pod(daemons, reference, pki, corruption_check):
    """The command line that kubeadm 1.31 (etcd 3.5) and 1.34 (etcd 3.6) write, with other ports and paths."""
    newer = "feature-gates" in corruption_check
    daemon = daemons(quorate("3.6" if newer else "3.5"), "ours", name="node1")
    (metrics_port,) = free_ports(1)
    client, peer = f"https://127.0.0.1:{daemon.client_port}", f"https://127.0.0.1:{daemon.peer_port}"
    authority = pki.authority.certificate
    progress = "watch-progress-notify-interval=5s"
    arguments = [
        *daemon.software.command, *daemon.software.own_flags,
        f"--advertise-client-urls={client}", f"--cert-file={pki.server.certificate}", "--client-cert-auth=true",
        f"--data-dir={daemon.data_dir}", corruption_check, "--" + ("" if newer else "experimental-") + progress,
        f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=node1={peer}", f"--key-file={pki.server.key}",
        f"--listen-client-urls={client},https://127.0.0.2:{daemon.client_port}",
        f"--listen-metrics-urls=http://127.0.0.1:{metrics_port}", f"--listen-peer-urls={peer}", "--name=node1",
        f"--peer-cert-file={pki.server.certificate}", "--peer-client-cert-auth=true", f"--peer-key-file={pki.server.key}",
        f"--peer-trusted-ca-file={authority}", "--snapshot-count=10000", f"--trusted-ca-file={authority}",
    ]  # fmt: skip
    member = Member(daemon, reference)
    for start in (1, 2):
        daemon.spawn(arguments)
        # What the pod's probes ask.
        poll(lambda: probe(metrics_port, "/readyz"), 20, daemon.log_tail)
        assert probe(metrics_port, "/livez")
        status, out, err = member.etcdctl("put", "start", str(start), ca=authority, pair=pki.client)
        assert (status, out) == (0, "OK\n"), err
        status, out, err = member.etcdctl("endpoint", "health", ca=authority, pair=pki.client)
        assert status == 0, err
        context = pki.authority.context(pki.server)
        assert json.loads(get(peer, context, "/version")[1])["etcdserver"]
        passed = "initial corruption checking passed; no corruption" in daemon.log_text()
        assert passed == (start == 2), "a member without data has nothing to check"
        assert daemon.stop() == 0


def probe(port, path):
    try:
        return web.request(port, path).status == 200
    except OSError:
        return False


def test_etcdctl_over_tls(member, pki, tmp_path, reference):
    ours = member(mutual_flags(pki)).start()
    known = {"ca": pki.authority.certificate, "pair": pki.client}

    def run(*arguments):
        status, out, err = ours.etcdctl(*arguments, **known)
        assert status == 0, (arguments, err)
        return out

    for number in range(3):
        assert run("put", f"k{number}", f"v{number}") == "OK\n"
    assert run("get", "k", "--prefix", "--print-value-only") == "v0\nv1\nv2\n"
    lease = re.search(r"lease (\w+) granted", run("lease", "grant", "60")).group(1)
    assert run("put", "leased", "x", "--lease", lease) == "OK\n"
    assert "keepalived" in run("lease", "keep-alive", lease, "--once")
    assert "attached keys([leased])" in run("lease", "timetolive", lease, "--keys")
    run("lease", "revoke", lease)
    assert run("get", "leased") == ""
    watching = subprocess.Popen(
        [reference.etcdctl, "--endpoints", ours.url, "--cacert", pki.authority.certificate, "--cert", pki.client.certificate,
         "--key", pki.client.key, "watch", "k", "--prefix", "--rev", "2"],
        stdout=subprocess.PIPE, text=True, env=clean_environment() | {"ETCDCTL_API": "3"},
    )  # fmt: skip
    try:
        assert [watching.stdout.readline() for _ in range(9)] == [
            line + "\n" for number in range(3) for line in ("PUT", f"k{number}", f"v{number}")
        ]
    finally:
        watching.kill()
        watching.wait()
    run("put", "large", "x" * 100_000)
    saved = tmp_path / "saved.db"
    run("snapshot", "save", str(saved))
    done = subprocess.run([reference.etcdutl, "snapshot", "status", saved, "-w", "json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["totalKey"] > 3


def test_a_log_that_names_clients_by_their_certificates(member, pki, reference):
    """With --client-cert-auth etcd writes clients' common names into its log, whether authentication is enabled or not."""
    # What the page file does not have yet is applied from the log at the next start.
    one = member(mutual_flags(pki, "--backend-batch-interval", "1h"), etcd(reference)).start()
    known = {"ca": pki.authority.certificate, "pair": pki.client}
    assert one.etcdctl("put", "a", "b", **known)[0] == 0
    assert one.etcdctl("txn", "--interactive=false", **known, text='version("a") = "1"\n\nput c d\n\n\n')[0] == 0
    one.daemon.kill()
    one.daemon.become(quorate())
    one.start()
    assert one.etcdctl("get", "", "--from-key", **known)[1] == "a\nb\nc\nd\n"
    assert one.etcdctl("put", "a", "e", **known)[0] == 0
    one.daemon.become(etcd(reference))
    one.start()
    assert one.etcdctl("get", "a", **known)[1] == "a\ne\n"


@pytest.mark.parametrize("software", ["etcd", "quorate"])
def test_who_is_refused_and_what_the_log_says(member, pki, reference, software):
    """The same outcomes and the same words from real etcd and from the member under test."""
    if reference.number < REFUSALS_SINCE:
        pytest.skip(f"etcd {reference.version} and its etcdctl word refusals otherwise")
    one = member(mutual_flags(pki), etcd(reference) if software == "etcd" else None, software).start()
    authority = pki.authority.certificate
    start = len(one.daemon.log_text())
    status, _, err = one.etcdctl("get", "a", ca=authority, timeout="1s")
    # etcd closes at once, so that its alert may be lost; ours lets the client read it.
    assert status != 0 and (software == "etcd" or "remote error: tls: certificate required" in err)
    status, _, err = one.etcdctl("get", "a", ca=authority, pair=pki.mallory, timeout="1s")
    assert status != 0
    status, _, err = one.etcdctl("get", "a", ca=pki.stranger.certificate, pair=pki.client, timeout="1s")
    assert status != 0 and "x509: certificate signed by unknown authority" in err
    web.raw(one.daemon.client_port, b"\0\1\2\3 this is no handshake\r\n\r\n", half_close=False)
    web.raw(one.daemon.client_port, b"GET /health HTTP/1.1\r\n\r\n", half_close=False)
    status, _, err = one.etcdctl("get", "a", ca=authority, pair=pki.client)
    assert status == 0, err
    lines = one.rejections(start)
    assert all(line["level"] == "warn" and re.match(r"127\.0\.0\.1:\d+$", line["remote-addr"]) for line in lines)
    assert {line["error"] for line in lines} == {
        "tls: client didn't provide a certificate",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "remote error: tls: bad certificate",
        "tls: first record does not look like a TLS handshake",
    }


def test_new_certificates_and_authorities_are_used_without_a_restart(member, pki, tmp_path):
    folder = Authority(tmp_path / "first", "first")
    pair = folder.issue("live", "generation-1")
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(pki.authority.certificate.read_bytes())
    ours = member(server_flags(pki, pair, "--client-cert-auth", "--trusted-ca-file", bundle)).start()
    port = ours.daemon.client_port
    assert "generation-1" in served_certificate(port, pki, pki.client)

    pair.replace_by(folder.issue("next", "generation-2"))
    assert "generation-2" in served_certificate(port, pki, pki.client)

    # A client of an authority that is added to the bundle gets in, and out again once it is taken away.
    def mallory():
        return ours.etcdctl("get", "a", ca=folder.certificate, pair=pki.mallory, timeout="1s")[0]

    assert mallory() != 0
    bundle.write_bytes(pki.authority.certificate.read_bytes() + pki.stranger.certificate.read_bytes())
    assert mallory() == 0
    bundle.write_bytes(pki.authority.certificate.read_bytes())
    assert mallory() != 0

    # Files that cannot be used leave the ones before in use, and SIGHUP says so again.
    start = len(ours.daemon.log_text())
    pair.key.write_text("no key\n")
    assert "generation-2" in served_certificate(port, pki, pki.client)
    ours.wait_for("new client TLS files cannot be used; those before are still in use", start)
    start = len(ours.daemon.log_text())
    ours.daemon.process.send_signal(signal.SIGHUP)
    ours.wait_for("new client TLS files cannot be used; those before are still in use", start)
    pair.replace_by(folder.issue("last", "generation-3"))
    start = len(ours.daemon.log_text())
    ours.daemon.process.send_signal(signal.SIGHUP)
    ours.wait_for("new client TLS files are in use for new connections", start)
    assert "generation-3" in served_certificate(port, pki, pki.client)
    assert ours.daemon.stop() == 0


def test_revoked_certificates_are_refused(member, tmp_path):
    authority = Authority(tmp_path / "pki")
    server, good, bad = (authority.issue(name) for name in ("server", "good", "bad"))
    revoked = authority.revoke()
    flags = ["--cert-file", server.certificate, "--key-file", server.key, "--client-cert-auth",
             "--trusted-ca-file", authority.certificate, "--client-crl-file", revoked]  # fmt: skip
    ours = member([str(flag) for flag in flags]).start()
    for pair in (good, bad):
        assert ours.etcdctl("put", "a", "b", ca=authority.certificate, pair=pair)[0] == 0
    authority.revoke(bad)
    assert ours.etcdctl("put", "a", "b", ca=authority.certificate, pair=good)[0] == 0
    assert ours.etcdctl("put", "a", "b", ca=authority.certificate, pair=bad, timeout="1s")[0] != 0
    serial = openssl("x509", "-noout", "-serial", "-in", bad.certificate).strip().partition("=")[2].lower()
    assert ours.rejections()[-1]["error"] == f"transport: certificate serial {serial} revoked"


def test_only_allowed_names(member, pki, tmp_path):
    named = pki.authority.issue("named", "bob", names="DNS:*.clients.example")
    ours = member(mutual_flags(pki, "--client-cert-allowed-hostname", "a.clients.example")).start()
    assert ours.etcdctl("get", "a", ca=pki.authority.certificate, pair=named)[0] == 0
    assert ours.etcdctl("get", "a", ca=pki.authority.certificate, pair=pki.client, timeout="1s")[0] != 0
    assert ours.rejections()[-1]["error"] == "client certificate authentication failed"


def test_peer_certificates_are_checked(member, pki):
    """Common names and addresses of whoever speaks to the peer port."""
    flags = ["--peer-cert-file", pki.server.certificate, "--peer-key-file", pki.server.key, "--peer-client-cert-auth",
             "--peer-trusted-ca-file", pki.authority.certificate, "--peer-cert-allowed-cn", "node1,node2"]  # fmt: skip
    elsewhere = pki.authority.issue("elsewhere", "node2", names="IP:192.0.2.7")
    node2 = pki.authority.issue("node2", "node2", names="IP:127.0.0.1")
    node3 = pki.authority.issue("node3", "node3", names="IP:127.0.0.1")
    ours = member([])
    peer = f"https://127.0.0.1:{ours.daemon.peer_port}"
    ours.url = ours.daemon.client_url
    ours.daemon.flags = [str(flag) for flag in flags] + [
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
    ]  # fmt: skip
    ours.start()
    assert get(peer, pki.authority.context(node2), "/version")[0] == 200
    for pair in (node3, elsewhere, None):
        with pytest.raises((ssl.SSLError, OSError)):
            get(peer, pki.authority.context(pair), "/version")
    lines = [json.loads(line) for line in ours.daemon.log_text().splitlines() if "rejected connection on peer" in line]
    assert [line["error"] for line in lines] == [
        "client certificate authentication failed",
        "x509: certificate is valid for 192.0.2.7, not 127.0.0.1",
        "tls: client didn't provide a certificate",
    ]
    assert lines[1]["ip-addresses"] == ["192.0.2.7"] and lines[1]["dns-names"] == []


def test_certificates_made_at_start(daemons, reference, member):
    """The same files with the same contents as etcd's, and etcd goes on with ours."""
    shown = {}
    for software in (etcd(reference), quorate()):
        one = member(["--auto-tls"], software, software.name)
        peer = f"https://127.0.0.1:{one.daemon.peer_port}"
        one.daemon.flags += ["--peer-auto-tls", "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        one.daemon.flags += ["--initial-cluster", f"default={peer}", "--self-signed-cert-validity", "3"]
        one.start()
        status, _, err = one.etcdctl("put", "a", "b", "--insecure-skip-tls-verify", "--insecure-transport=false")
        assert status == 0, err
        shown[software.name] = {}
        for side in ("client", "peer"):
            folder = one.daemon.data_dir / "fixtures" / side
            text = openssl("x509", "-noout", "-text", "-in", folder / "cert.pem")
            wanted = ("Subject: ", "Public Key Algorithm", "NIST CURVE", "Server Auth", "IP Address", "Signature Algorithm")
            facts = {line.strip() for line in text.splitlines() if any(word in line for word in wanted)}
            years = re.findall(r"Not (?:Before|After ?) ?: .* (\d{4}) GMT", text)
            modes = [oct((folder / name).stat().st_mode & 0o777) for name in (".", "cert.pem", "key.pem")]
            head = (folder / "key.pem").read_text().splitlines()[0]
            shown[software.name][side] = (facts, int(years[1]) - int(years[0]), modes, head)
    assert shown["quorate"] == shown["etcd-" + reference.version]
    # The last one is ours: real etcd takes it over, certificates included.
    before = (one.daemon.data_dir / "fixtures/client/cert.pem").read_bytes()
    one.daemon.become(etcd(reference))
    one.start()
    status, out, err = one.etcdctl("get", "a", "--insecure-skip-tls-verify", "--insecure-transport=false")
    assert (status, out) == (0, "a\nb\n"), err
    assert (one.daemon.data_dir / "fixtures/client/cert.pem").read_bytes() == before


def test_members_with_certificates_made_at_start_form_a_cluster(daemons, reference):
    """Also with etcd."""
    cluster = Cluster(daemons, [quorate(), etcd(reference), quorate()], reference, ["--peer-auto-tls"], peer_scheme="https")
    cluster.start()
    cluster.ctl("put", "a", "b")
    cluster.settle()
    for each in cluster.members:
        assert each.client.get(b"a") == b"b"


def test_plain_and_encrypted_listeners_side_by_side(member, pki, tmp_path):
    """http and https on one address, a unix socket with TLS, and metrics over TLS."""
    ours = member([])
    (metrics_port,) = free_ports(1)
    port = ours.daemon.client_port
    socket_path = tmp_path / "sock"
    metrics = f"https://127.0.0.1:{metrics_port}"
    ours.url = f"http://127.0.0.1:{port},https://127.0.0.1:{port}"
    ours.daemon.flags = mutual_flags(pki, "--listen-metrics-urls", metrics)
    arguments = ours.arguments()
    at = arguments.index("--listen-client-urls") + 1
    arguments[at] += f",unixs://{socket_path}"
    ours.daemon.spawn(arguments)
    ours.wait_for("ready to serve client requests")
    known = {"ca": pki.authority.certificate, "pair": pki.client}
    assert ours.etcdctl("put", "a", "b", url=f"https://127.0.0.1:{port}", **known)[0] == 0
    assert ours.etcdctl("get", "a", url=f"http://127.0.0.1:{port}")[1] == "a\nb\n"
    assert web.request(port, "/health").status == 200
    context = pki.authority.context(pki.client)
    assert get(f"https://127.0.0.1:{port}", context, "/readyz")[0] == 200
    assert get(metrics, pki.authority.context(pki.server), "/metrics")[0] == 200
    context.check_hostname = False
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(os.fspath(socket_path))
        with context.wrap_socket(plain) as connection:
            connection.sendall(b"GET /version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert connection.recv(64).startswith(b"HTTP/1.1 200")


def test_versions_and_suites(member, pki):
    ours = member(server_flags(pki, None, "--tls-min-version", "TLS1.3")).start()
    context = pki.authority.context()
    assert get(ours.url, context)[0] == 200
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="alert protocol version"):
        get(ours.url, context)
    ours.daemon.stop()

    only = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    ours.daemon.flags = server_flags(pki, None, "--cipher-suites", only, "--tls-max-version", "TLS1.2")
    ours.start()
    with socket.create_connection(("127.0.0.1", ours.daemon.client_port), 5) as connection:
        with pki.authority.context().wrap_socket(connection, server_hostname="localhost") as wrapped:
            assert wrapped.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"


@pytest.mark.parametrize("software", ["etcd", "quorate"])
def test_a_certificate_of_the_members_own_for_clients(member, pki, reference, software):
    """Where the server's opens no connection as a client. Real etcd connects to itself for its JSON gateway."""
    server = pki.authority.issue("server-only", usages="serverAuth")
    flags = server_flags(
        pki, server, "--client-cert-auth", "--trusted-ca-file", pki.authority.certificate,
        "--client-cert-file", pki.client.certificate, "--client-key-file", pki.client.key,
    )  # fmt: skip
    one = member(flags, etcd(reference) if software == "etcd" else None)
    one.daemon.software.require(one.daemon.flags)
    one.start()
    assert one.etcdctl("put", "a", "b", ca=pki.authority.certificate, pair=pki.client)[0] == 0
    one.daemon.stop()
    # One without the other, and files that make no pair, stop the start.
    for mistake in (["--client-key-file", ""], ["--client-key-file", str(pki.mallory.key)]):
        one.daemon.flags = [*flags, *mistake]
        one.daemon.spawn(one.arguments())
        assert one.daemon.wait_exit(20) != 0


@pytest.mark.parametrize(
    "name,contents,words",
    [
        ("--cert-file", None, "no such file or directory"),
        ("--key-file", "OTHER", "private key does not match public key"),
        ("--trusted-ca-file", "nothing\n", "failed to find any PEM data"),
        ("--client-crl-file", "nothing\n", "malformed crl"),
    ],
)
def test_files_that_cannot_be_used_stop_the_start(member, pki, tmp_path, name, contents, words):
    path = tmp_path / "file"
    if contents:
        path.write_text(pki.client.key.read_text() if contents == "OTHER" else contents)
    ours = member(mutual_flags(pki, name, path))
    ours.daemon.spawn(ours.arguments())
    assert ours.daemon.wait_exit(20) == 1
    log = ours.daemon.log_text()
    assert words in log and str(path) in log
    assert not (ours.daemon.data_dir / "member").exists()


def test_idle_connections_do_not_keep_others_out(member, pki):
    """Connections that never begin, or never end, their handshake."""
    ours = member(server_flags(pki)).start()
    with contextlib.ExitStack() as stack:
        for number in range(200):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", ours.daemon.client_port), 5))
            if number % 2:
                idle.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert get(ours.url, pki.authority.context())[0] == 200


def test_status_is_asked_over_tls(member, pki):
    one = member(mutual_flags(pki)).start()

    def status(*arguments):
        words = [*quorate().command[:1], "status", *map(str, arguments)]
        result = subprocess.run(words, capture_output=True, text=True, timeout=20, env=clean_environment())
        return result.returncode, result.stdout

    authority = ["--cacert", pki.authority.certificate]
    pair = ["--cert", pki.client.certificate, "--key", pki.client.key]
    code, text = status(one.url, *authority, *pair)
    assert code == 0 and text.startswith(f"healthy   {one.url}  leader, term "), text
    for arguments in ([one.url, *authority], [one.url, *pair], [one.url.replace("https", "http"), *authority, *pair]):
        code, text = status(*arguments)
        assert code == 2 and text.startswith(("no answer", "?  ")), text
    assert "want https" in text
