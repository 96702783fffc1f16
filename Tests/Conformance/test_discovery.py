"""Clusters and endpoints that are found in DNS: a name server of the harness answers Quorate and real etcd alike."""

import json
import os
import subprocess

import pytest

from harness import releases, web
from harness.daemon import Daemon, clean_environment, etcd, free_ports, poll, quorate
from harness.names import SERVER_FAILURE, NameServer
from harness.pki import Authority

DOMAIN = "example.test"
TIMING = ["--heartbeat-interval", "50", "--election-timeout", "500"]


@pytest.fixture
def names(tmp_path):
    server = NameServer(tmp_path)
    yield server
    server.close()


class Discovered(Daemon):
    """A member that is told a domain instead of its cluster."""

    names = None

    def arguments(self):
        arguments = super().arguments()
        start = arguments.index("--initial-cluster")
        del arguments[start : start + 2]
        return [*self.names.prefix, *arguments, "--discovery-srv", DOMAIN]


@pytest.fixture
def members(names, tmp_path, reference):
    """Members from a word, as "qee" for one Quorate and two of real etcd, with records for all of them."""
    made = []

    def make(word, service="etcd-server", **options):
        for index, letter in enumerate(word):
            member = Discovered(
                quorate() if letter == "q" else etcd(reference), tmp_path / f"m{index}", name=f"m{index}", timing=TIMING,
                environment={"GODEBUG": "netdns=go"} | options.pop("environment", {}), **options,
            )  # fmt: skip
            member.names = names
            made.append(member)
            names.hosts[f"infra{index}.{DOMAIN}"] = "127.0.0.1"
        names.services[f"_{service}._tcp.{DOMAIN}"] = [
            (0, 10, member.peer_port, f"infra{index}.{DOMAIN}") for index, member in enumerate(made)
        ]
        return made

    yield make
    for member in made:
        member.kill()


def start(members):
    for member in members:
        member.spawn()
    for member in members:
        member.wait_ready()


def ctl(reference, member, *arguments):
    done = subprocess.run(
        [reference.etcdctl, "--endpoints", member.endpoint, *arguments], capture_output=True, timeout=30, env=clean_environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def identity(reference, member):
    header = json.loads(ctl(reference, member, "endpoint", "status", "-w", "json"))[0]["Status"]["header"]
    return header["cluster_id"], header["member_id"]


def test_cluster_from_records(members, names, reference):
    """Members of both kinds find each other, agree on who they are, and need no name server to start again."""
    names.truncates = True
    made = members("eqq")
    start(made)
    lists = {ctl(reference, member, "member", "list") for member in made}
    assert len(lists) == 1, lists
    for index, member in enumerate(made):
        assert f"m{index}, http://infra{index}.{DOMAIN}:{member.peer_port}, {member.client_url}" in next(iter(lists))
    identities = [identity(reference, member) for member in made]
    assert len({cluster for cluster, _ in identities}) == 1 and len({member for _, member in identities}) == 3
    names.services.clear()
    made[1].stop()
    made[1].start()
    assert made[1].client.range(b"\0")["header"]["member_id"] == identities[1][1]


def test_peers_prove_the_domain(members, names, tmp_path, reference):
    """Without authorities of its own a member takes those of the system, and certificates have to be the domain's."""
    authority = Authority(tmp_path / "pki")
    pair = authority.issue("domain", names=f"DNS:{DOMAIN}")
    made = members(
        "eq", service="etcd-server-ssl", peer_scheme="https",
        flags=["--peer-cert-file", str(pair.certificate), "--peer-key-file", str(pair.key)],
    )  # fmt: skip
    for member in made:
        member.environment["SSL_CERT_FILE"] = str(authority.certificate)
    start(made)
    ctl(reference, made[1], "put", "a", "b")
    assert ctl(reference, made[0], "get", "a") == "a\nb\n"


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda names: names.services.clear(), "no such host"),
        (lambda names: setattr(names, "failure", SERVER_FAILURE), "error querying DNS SRV records for _etcd-server-ssl lookup"),
        (lambda names: names.services[f"_etcd-server._tcp.{DOMAIN}"].pop(0), 'cannot find local etcd member "m0" in SRV records'),
    ],
)
def test_refusals(members, names, change, message):
    made = members("qq")
    change(names)
    made[0].spawn()
    assert made[0].wait_exit(20) == 1
    assert message in made[0].log_text().replace("\\", "")


def test_suffix(members, names, reference):
    """--discovery-srv-name names one of several clusters of a domain."""
    made = members("q", service="etcd-server-blue", flags=["--discovery-srv-name", "blue"])
    start(made)
    assert f"http://infra0.{DOMAIN}:" in ctl(reference, made[0], "member", "list")


class Proxy:
    """`quorate proxy` or one of etcd's command lines, which ask the name server."""

    def __init__(self, names, folder, words, listen_flag, flags):
        binary = os.environ.get("QUORATE_BINARY") or releases.ROOT / ".build" / "release" / "quorate"
        program = folder / words[0]
        program.symlink_to(binary)
        self.port = free_ports(1)[0]
        self.log = folder / "proxy.log"
        listen = f"http://127.0.0.1:{self.port}" if "urls" in listen_flag else f"127.0.0.1:{self.port}"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*names.prefix, str(program), *words[1:], listen_flag, listen, "--discovery-srv", DOMAIN, *map(str, flags)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=clean_environment(), cwd=folder,
            )  # fmt: skip

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    def known(self):
        """The endpoints' addresses."""
        try:
            reply = web.request(self.port, "/proxy/endpoints")
        except OSError:
            return set()
        return {each["endpoint"] for each in json.loads(reply.body)["endpoints"]}

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def proxy(names, tmp_path):
    made = []

    def make(words, listen_flag, *flags):
        folder = tmp_path / f"proxy{len(made)}"
        folder.mkdir()
        made.append(Proxy(names, folder, words, listen_flag, flags))
        return made[-1]

    yield make
    for each in made:
        each.kill()


def test_endpoints_from_records(members, names, proxy, reference, tmp_path):
    """A proxy starts without an answer, takes over what records say later, and loses nothing when name servers fail."""
    made = members("ee")
    start(made)
    service = f"_etcd-client._tcp.{DOMAIN}"
    data = tmp_path / "proxy-data"
    flags = ["--insecure-discovery", "--refresh-interval", "200ms", "--data-dir", data]
    running = proxy(["quorate", "proxy"], "--listen-client-urls", *flags)

    def address(index):
        return f"http://infra{index}.{DOMAIN}:{made[index].client_port}"

    def serves(at):
        return subprocess.run(
            [reference.etcdctl, "--endpoints", at.endpoint, "--dial-timeout=1s", "get", "x"], capture_output=True,
            env=clean_environment(), timeout=30,
        ).returncode == 0  # fmt: skip

    poll(lambda: "do not tell the endpoints" in running.log.read_text(), 20, "the proxy says that it knows no endpoint")
    names.services[service] = [(0, 1, made[0].client_port, f"infra0.{DOMAIN}")]
    poll(lambda: address(0) in running.known(), 20, "the first endpoint is known")
    poll(lambda: serves(running), 20, "the proxy serves")
    names.services[service].append((1, 1, made[1].client_port, f"infra1.{DOMAIN}"))
    poll(lambda: {address(0), address(1)} <= running.known(), 20, "the second endpoint is known")
    before = running.log.read_text().count("do not tell the endpoints")
    names.failure = SERVER_FAILURE
    poll(lambda: running.log.read_text().count("do not tell the endpoints") > before, 20, "a look fails")
    assert {address(0), address(1)} <= running.known()
    # A restart without an answer goes on with what was known.
    running.kill()
    again = proxy(["quorate", "proxy"], "--listen-client-urls", *flags)
    poll(lambda: {address(0), address(1)} <= again.known(), 20, "the kept list is used")
    names.failure = None
    names.services[f"_etcd-client-red._tcp.{DOMAIN}"] = names.services[service]
    gateway = proxy(["etcd", "gateway", "start"], "--listen-addr", "--insecure-discovery", "--discovery-srv-name", "red")
    grpc_proxy = proxy(["etcd", "grpc-proxy", "start"], "--listen-addr", "--insecure-discovery", "--data-dir", tmp_path / "grpc")
    poll(lambda: serves(gateway) and serves(grpc_proxy), 20, "etcd's command lines serve")


def test_proxy_of_etcd_3_5(members, names, proxy, reference, tmp_path):
    """`etcd --proxy` asks the members' peer URLs, keeps them where etcd keeps them, and goes on with them."""
    made = members("eq")
    start(made)
    data = tmp_path / "data"
    flags = ["--data-dir", data, "--proxy-refresh-interval", "300"]

    def tries(at, *arguments):
        command = [reference.etcdctl, "--endpoints", at.endpoint, "--command-timeout=5s", *arguments]
        return subprocess.run(command, capture_output=True, env=clean_environment(), timeout=30)

    running = proxy(["etcd", "--proxy", "on"], "--listen-client-urls", *flags)
    poll(lambda: tries(running, "put", "a", "b").returncode == 0, 20, "the proxy takes writes")
    kept = data / "proxy" / "cluster"
    urls = {f"http://infra{index}.{DOMAIN}:{member.peer_port}" for index, member in enumerate(made)}
    poll(lambda: kept.exists() and set(json.loads(kept.read_text())["PeerURLs"]) == urls, 20, "the peer URLs are kept")
    endpoints = json.loads(web.request(running.port, "/v2/config/local/proxy").body)["endpoints"]
    assert set(endpoints) == {member.client_url for member in made}
    running.kill()
    names.services.clear()
    again = proxy(["etcd", "--proxy", "readonly"], "--listen-client-urls", *flags)
    poll(lambda: tries(again, "get", "a").stdout == b"a\nb\n", 20, "the proxy reads")
    refused = tries(again, "put", "a", "c")
    assert refused.returncode != 0 and b"read-only" in refused.stderr, refused.stderr
    # Whose directory it is, decides.
    (data / "member").mkdir()
    assert proxy(["etcd"], "--listen-client-urls", *flags, "--advertise-client-urls", "http://127.0.0.1:1").process.wait(20) == 1
