"""Who a client is, through the proxy: certificates on either side, tokens of etcd's authentication, and what the proxy refuses to lend."""

import contextlib
import signal
import subprocess
import threading

import pytest
from harness.client import WATCH, Client, put_request
from harness.daemon import clean_environment, etcd, poll
from harness.pki import Authority
from harness.protobuf import decode, embedded, message
from harness.trio import Trio


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")

    class Made:
        authority = Authority(folder / "ca")

    Made.server = Made.authority.issue("server", "node1")
    Made.root = Made.authority.issue("root", usages="clientAuth", names=None)
    Made.alice = Made.authority.issue("alice", usages="clientAuth", names=None)
    Made.nameless = Made.authority.issue("nameless", usages="clientAuth", names=None, subject="/O=proxies")
    return Made


def own_certificate(pki, pair):
    return ["--cert", pair.certificate, "--key", pair.key, "--cacert", pki.authority.certificate]


@pytest.fixture
def secure_trio(daemons, reference, pki):
    """Three members that demand clients' certificates."""
    flags = ["--cert-file", pki.server.certificate, "--key-file", pki.server.key, "--client-cert-auth"]
    return Trio(daemons, etcd(reference), client_flags=[*flags, "--trusted-ca-file", pki.authority.certificate])


class Etcdctl:
    def __init__(self, reference, url, *flags):
        self.command = [str(part) for part in (reference.etcdctl, "--endpoints", url, "--command-timeout=5s", *flags)]

    def run(self, *arguments, user=None):
        """(exit status, everything said)"""
        done = subprocess.run(
            [*self.command, *(["--user", user] if user else []), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=30, env=clean_environment() | {"ETCDCTL_API": "3"},
        )  # fmt: skip
        return done.returncode, done.stdout

    def ok(self, *arguments, user=None):
        status, said = self.run(*arguments, user=user)
        assert status == 0, said
        return said

    def refused(self, *arguments, user=None):
        status, said = self.run(*arguments, user=user)
        assert status != 0 and "permission denied" in said.lower(), said


def enable_authentication(ctl):
    """root may do all; alice has what begins with /alice/."""
    ctl.ok("user", "add", "root:rootpw")
    ctl.ok("role", "add", "root")
    ctl.ok("user", "grant-role", "root", "root")
    ctl.ok("user", "add", "alice:alicepw")
    ctl.ok("role", "add", "alice")
    ctl.ok("role", "grant-permission", "alice", "--prefix=true", "readwrite", "/alice/")
    ctl.ok("user", "grant-role", "alice", "alice")
    ctl.ok("auth", "enable")


@pytest.mark.parametrize("mode", ["http", "tcp"])
def test_tokens_of_users_pass(daemons, proxies, reference, mode):
    """etcd's "simple" tokens are in the metadata of each request, and any member takes them."""
    trio = Trio(daemons, etcd(reference))
    proxy = proxies(trio.urls, "--policy", "round-robin", mode=mode).start()
    proxy.wait_for_all()
    ctl = Etcdctl(reference, proxy.url)
    enable_authentication(ctl)
    for number in range(4):
        ctl.ok("put", "/alice/a", f"{number}", user="alice:alicepw")
        assert ctl.ok("get", "/alice/a", "--print-value-only", user="alice:alicepw") == f"{number}\n"
    ctl.refused("put", "/bob/a", "1", user="alice:alicepw")
    # etcd's own proxy kept what one had read for whoever asked next.
    ctl.ok("put", "/bob/a", "secret", user="root:rootpw")
    for consistency in ("--consistency=s", "--consistency=l"):
        assert ctl.ok("get", "/bob/a", "--print-value-only", consistency, user="root:rootpw") == "secret\n"
        ctl.refused("get", "/bob/a", consistency, user="alice:alicepw")
    status, said = ctl.run("get", "/alice/a")
    assert status != 0 and "user name is empty" in said, said
    assert "authentication failed" in ctl.run("get", "/alice/a", user="alice:wrong")[1]
    # Probes go on without a password.
    proxy.wait_for_all()


def test_watches_are_each_users_own_wherever_they_go_on(daemons, proxies, reference):
    """etcd's own proxy watches once for all, with the token of whoever came first."""
    trio = Trio(daemons, etcd(reference))
    proxy = proxies(trio.urls, "--policy", "round-robin", "--threads", "1", mode="http").start()
    proxy.wait_for_all()
    enable_authentication(Etcdctl(reference, proxy.url))

    @contextlib.contextmanager
    def watching(client, user, key):
        token = decode(client.call("Auth/Authenticate", message((1, user), (2, user + b"pw"))), {2: "token"})["token"]
        end = threading.Event()

        def requests():
            yield embedded(1, message((1, key)))
            end.wait(60)

        call = client._channel.stream_stream("/etcdserverpb.Watch/Watch")(requests(), metadata=[("token", token.decode())], timeout=60)
        try:
            yield (decode(part, WATCH) for part in call)
        finally:
            end.set()
            call.cancel()

    with Client(proxy.endpoint) as client, contextlib.ExitStack() as stack:
        watch = lambda *arguments: stack.enter_context(watching(client, *arguments))  # noqa: E731
        watches = {key: [watch(user, key) for user in users] for key, users in
                   ((b"/bob/a", [b"root"] * 3), (b"/alice/a", [b"alice", b"root", b"alice"]))}  # fmt: skip
        for each in [*watches[b"/bob/a"], *watches[b"/alice/a"]]:
            assert next(each)["created"]
        refused = watch(b"alice", b"/bob/a")
        # etcd says in one response that it was created and that it was not.
        answer = next(refused)
        assert answer.get("canceled") and b"permission denied" in answer["cancel_reason"], answer
        ctl = Etcdctl(reference, proxy.url)

        def write():
            for key, expected in watches.items():
                ctl.ok("put", key.decode(), "1", user="root:rootpw")
                for each in expected:
                    assert [event["kv"]["key"] for event in next(each)["events"]] == [key]

        write()
        for member in trio.members:
            member.process.send_signal(signal.SIGSTOP)
            poll(lambda url=member.client_url: proxy.states()[url] == "down", 5, proxy.states)
            member.process.send_signal(signal.SIGCONT)
            proxy.wait_for_all()
        write()


def test_in_tcp_mode_a_clients_certificate_reaches_the_member(secure_trio, proxies, reference, pki):
    # Clients check the members' own certificate: the proxy has none and needs none.
    proxy = proxies(secure_trio.urls, *own_certificate(pki, pki.nameless), "--policy", "round-robin")
    proxy.start_without_waiting()
    proxy.wait_for_all()
    root, alice, nobody = (
        Etcdctl(reference, f"https://{proxy.endpoint}", "--cacert", pki.authority.certificate, *flags)
        for flags in (
            ["--cert", pki.root.certificate, "--key", pki.root.key], ["--cert", pki.alice.certificate, "--key", pki.alice.key], [],
        )
    )  # fmt: skip
    assert nobody.run("get", "a", "--dial-timeout=1s")[0] != 0
    enable_authentication(root)
    for _ in range(4):
        alice.ok("put", "/alice/a", "1")
        alice.refused("put", "/bob/a", "1")
        root.ok("put", "/bob/a", "1")
    proxy.wait_for_all()


def test_in_http_mode_certificates_are_each_sides_own(secure_trio, proxies, reference, pki):
    """The proxy's, which names nobody, towards members; clients' towards the proxy, which go no further."""
    listener = ["--cert-file", pki.server.certificate, "--key-file", pki.server.key]
    proxy = proxies(
        secure_trio.urls, *own_certificate(pki, pki.nameless), *listener, "--client-cert-auth", "--trusted-ca-file", pki.authority.certificate,
        "--policy", "round-robin", mode="http", scheme="https",
    )  # fmt: skip
    proxy.start_without_waiting()
    proxy.wait_for_all()
    trusted = ["--cacert", pki.authority.certificate]
    alice = Etcdctl(reference, proxy.url, *trusted, "--cert", pki.alice.certificate, "--key", pki.alice.key)
    assert Etcdctl(reference, proxy.url, *trusted).run("get", "a", "--dial-timeout=1s")[0] != 0
    enable_authentication(alice)
    for _ in range(4):
        # Not by the certificate, for that is not the member's to see (the proxy's makes etcd look for a user without a name), but by password.
        alice.refused("get", "/alice/a")
        alice.ok("put", "/alice/a", "1", user="alice:alicepw")
        alice.refused("put", "/bob/a", "1", user="alice:alicepw")


def test_a_certificate_that_names_somebody_is_not_lent_unless_told_so(secure_trio, proxies, reference, pki, tmp_path):
    lent = own_certificate(pki, pki.alice)

    def refusal(*flags, scheme="http", host="127.0.0.1"):
        proxy = proxies(secure_trio.urls, *lent, *flags, mode="http", folder=f"refused-{len(flags)}-{host}")
        if host != "127.0.0.1":
            proxy.flags += ["--listen-client-urls", f"http://{host}:{proxy.port}"]
        proxy.start_without_waiting()
        poll(lambda: proxy.process.poll() is not None, 10, "the proxy ends")
        assert proxy.process.returncode != 0
        return proxy.log.read_text()

    assert "--allow-shared-identity" in refusal()
    # Whoever reaches the listener is alice then: with no password asked for, that must be this host's clients alone.
    assert "loopback" in refusal("--allow-shared-identity", host="0.0.0.0")
    proxy = proxies(secure_trio.urls, *lent, "--allow-shared-identity", mode="http").start()
    root = Etcdctl(
        reference, secure_trio.urls[0], "--cacert", pki.authority.certificate, "--cert", pki.root.certificate, "--key", pki.root.key
    )
    enable_authentication(root)
    ctl = Etcdctl(reference, proxy.url)
    ctl.ok("put", "/alice/a", "1")
    ctl.refused("put", "/bob/a", "1")
    # A socket's file says who may.
    path = tmp_path / "proxy.sock"
    local = proxies(secure_trio.urls, *lent, "--allow-shared-identity", mode="http", folder="local")
    local.flags += ["--listen-client-urls", f"unix://{path}"]
    local.start_without_waiting()
    local.wait_for_all()
    with Client(f"unix:{path}") as client:
        client.put(b"/alice/a", b"2")
        assert client.outcome("KV/Put", put_request(b"/bob/a", b"2")).code == "PERMISSION_DENIED"


def test_a_new_certificate_is_shown_to_members(secure_trio, proxies, reference, pki):
    """After SIGHUP new connections have it, by which the members know another user; what is under way goes on."""
    lent, fresh = (pki.authority.issue(name, usages="clientAuth", names=None, subject=f"/CN={user}") for name, user in
                   (("lent", "alice"), ("fresh", "root")))  # fmt: skip
    root = Etcdctl(
        reference, secure_trio.urls[0], "--cacert", pki.authority.certificate, "--cert", pki.root.certificate, "--key", pki.root.key
    )
    enable_authentication(root)
    proxy = proxies(secure_trio.urls, *own_certificate(pki, lent), "--allow-shared-identity", mode="http")
    proxy.start_without_waiting()
    proxy.wait_for_all()
    ctl = Etcdctl(reference, proxy.url)
    ctl.ok("put", "/alice/a", "1")
    ctl.refused("put", "/bob/a", "1")
    with Client(proxy.endpoint) as client, client.watch(b"/alice/a") as watch:
        assert next(watch)["created"]
        lent.replace_by(fresh)
        proxy.process.send_signal(signal.SIGHUP)
        poll(lambda: "reloaded the configuration" in proxy.log.read_text(), 10, proxy.log_tail)
        ctl.ok("put", "/alice/a", "2")
        assert [event["kv"]["value"] for event in next(watch)["events"]] == [b"2"]
    for member in secure_trio.members:
        member.stop()
    for member in secure_trio.members:
        member.spawn()
    poll(lambda: ctl.run("put", "/bob/a", "1")[0] == 0, 20, lambda: ctl.run("put", "/bob/a", "1"))
