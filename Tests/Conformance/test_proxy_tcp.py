"""`quorate proxy --mode tcp` in front of real members, its pages, and the command lines of etcd's own proxies."""

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from harness import releases, web
from harness.client import Client
from harness.daemon import clean_environment, etcd, free_ports, poll, quorate
from harness.trio import Trio
from harness.upstreams import Gate


@pytest.fixture
def trio(daemons, reference):
    return Trio(daemons, etcd(reference))


def seconds_until_served(clients, limit):
    """How long it takes until every client gets an answer, each over the connection it has or a new one."""
    began = time.monotonic()

    def served(client):
        return isinstance(client.outcome("KV/Range", b"\x0a\x01\x00", timeout=limit), bytes)

    threads = [threading.Thread(target=lambda client=each: poll(lambda: served(client), limit, "served")) for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began


def test_a_killed_member_is_left_at_once(trio, proxies):
    proxy = proxies(trio.urls, "--policy", "round-robin").start()
    proxy.wait_for_all()
    trio.members[0].kill()
    # Until a probe has noticed, every connection that goes there is refused, and goes on to the next member unseen.
    for number in range(12):
        with Client(proxy.endpoint) as client:
            client.range(b"k%d" % number, serializable=True)  # The member may have been the leader.
    poll(lambda: proxy.states()[trio.urls[0]] == "down", 5, proxy.states)


def test_a_hung_member_is_left_within_the_time_of_a_probe(trio, proxies):
    proxy = proxies(trio.urls, "--policy", "round-robin").start()
    proxy.wait_for_all()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(proxy.endpoint, timeout=10)) for _ in range(6)]
        assert seconds_until_served(clients, 5) < 5
        trio.members[1].process.send_signal(signal.SIGSTOP)
        try:
            poll(lambda: proxy.states()[trio.urls[1]] == "down", 2, lambda: proxy.states(), 0.01)
            # Connections on it were closed, so that clients come back and get another member.
            assert seconds_until_served(clients, 8) < 3
        finally:
            trio.members[1].process.send_signal(signal.SIGCONT)
        proxy.wait_for_all()


@pytest.mark.slow
def test_all_members_are_replaced_and_the_new_list_is_kept(trio, proxies):
    first_urls = list(trio.urls)
    proxy = proxies(first_urls, "--refresh-interval", "1s").start()
    for member in list(trio.members):
        trio.replace(member)
        poll(lambda: sorted(url for url, state in proxy.states().items() if state == "serving") == sorted(trio.urls), 15,
             proxy.states)  # fmt: skip
        with Client(proxy.endpoint) as client:
            client.put(b"a", b"b")
    proxy.kill()
    # Not one of the configured endpoints is left; the kept list finds the cluster.
    assert not set(first_urls) & set(trio.urls)
    proxy.start()
    proxy.wait_for_all()


def test_pages_and_status(trio, proxies, reference):
    proxy = proxies(trio.urls).start()
    proxy.wait_for_all()
    assert web.request(proxy.pages, "/health").text == '{"health":"true","reason":""}'
    assert web.request(proxy.pages, "/readyz").status == web.request(proxy.pages, "/livez").status == 200
    assert sorted(json.loads(web.request(proxy.pages, "/v2/config/local/proxy").text)["endpoints"]) == sorted(trio.urls)
    refused = web.request(proxy.pages, "/v2/config/local/proxy", "POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET")
    page = json.loads(web.request(proxy.pages, "/proxy/endpoints").text)
    assert [each["version"] for each in page["endpoints"]] == [reference.version] * 3
    # What one could tell from others by: who leads, how far each has come, what each is short of.
    assert sorted(each["is_leader"] for each in page["endpoints"]) == [False, False, True]
    assert all(each["applied_index"] >= 3 and each["raft_term"] and each["member_id"] and each["alarms"] == [] for each in page["endpoints"])
    families = web.metrics(proxy.pages)
    assert families["quorate_proxy_endpoint_serving"][2]['{endpoint="%s"}' % trio.urls[0]] == 1
    assert web.request(proxy.pages, "/nothing").status == 404
    binary = quorate().command[0]
    status = subprocess.run(
        [binary, "proxy", "status", "--data-dir", str(proxy.folder / "data")], capture_output=True, text=True, timeout=20
    )
    rows = {row.split()[0]: row for row in status.stdout.splitlines() if row.strip()}
    assert status.returncode == 0 and all("serving" in rows[url] for url in trio.urls), status.stdout
    for member in trio.members:
        member.kill()
    poll(lambda: web.request(proxy.pages, "/health").status == 503, 5, "no endpoint is healthy")


@pytest.mark.parametrize("version", ["3.4.23", "3.5.1"])
@pytest.mark.parametrize("probe", ["status", "http"])
def test_older_members_are_probed(daemons, proxies, version, probe):
    """3.5.1 and 3.4.23 have no /readyz."""
    release = releases.exact(version)
    if release is None:
        pytest.skip(f"no etcd {version}")
    member = daemons(etcd(release), "member").start()
    proxy = proxies([member.client_url], "--probe", probe).start()
    proxy.wait_for_all(1)


@pytest.mark.parametrize("mode", ["http", "tcp"])
def test_the_proxy_does_not_forward_to_itself(daemons, proxies, reference, mode):
    """Not even when there is nobody else: 3580 went round in circles until it had nothing left."""
    member = daemons(etcd(reference), "member").start()
    proxy = proxies([], "--policy", "round-robin", "--refresh-interval", "0", mode=mode)
    proxy.endpoints = [f"http://127.0.0.1:{proxy.port}", f"http://localhost:{proxy.port}", member.client_url]
    proxy.start()
    poll(lambda: sorted(proxy.states().values()) == ["forbidden", "forbidden", "serving"], 5, proxy.states)
    with Client(proxy.endpoint) as client:
        for number in range(6):
            client.put(b"a", b"%d" % number)
    member.kill()
    poll(lambda: proxy.states()[member.client_url] == "down", 5, proxy.states)
    taken = lambda: web.metrics(proxy.pages)["quorate_proxy_client_connections_accepted_total"][2][""]  # noqa: E731
    before = taken()
    with Client(proxy.endpoint) as client:
        assert not isinstance(client.outcome("KV/Range", b"\x0a\x01a", timeout=1), bytes)
    # Its own connection, and where the proxy ends that at once as many as the client tries; in a circle they would be thousands.
    assert taken() - before <= 100


@pytest.mark.parametrize("command", [["gateway", "start"], ["grpc-proxy", "start", "--data-dir=gp"]])
def test_command_lines_of_etcds_proxies(daemons, reference, tmp_path, command):
    member = daemons(etcd(reference), "member").start()
    (tmp_path / "etcd").symlink_to(os.path.abspath(quorate().command[0]))
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [tmp_path / "etcd", *command, f"--listen-addr=127.0.0.1:{port}", "--endpoints", member.endpoint],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path, env=clean_environment(),
    )  # fmt: skip
    try:
        with Client(f"127.0.0.1:{port}") as client:
            poll(lambda: isinstance(client.outcome("KV/Range", b"\x0a\x01\x00"), bytes), 20, "served")
            client.put(b"a", b"1")
        assert member.client.get(b"a") == b"1"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


@pytest.mark.parametrize("command", ["gateway", "grpc-proxy"])
def test_every_flag_of_etcds_proxies_is_known(reference, tmp_path, command):
    ours = tmp_path / "etcd"
    ours.symlink_to(os.path.abspath(quorate().command[0]))

    def flags(binary):
        done = subprocess.run(
            [binary, command, "start", "--help"], capture_output=True, text=True, timeout=20, env=clean_environment(), cwd=tmp_path
        )
        return set(re.findall(r"^ +(?:-\w, )?--?([a-z-]+)", done.stdout + done.stderr, re.MULTILINE)) - {"help"}

    known = flags(reference.etcd)
    assert len(known) > 6 and known <= flags(ours), known - flags(ours)


#: Flags that have an effect here, that have none, and that there are not.
REFUSED = [
    ["grpc-proxy", "--dial-keepalive-time=bad"], ["grpc-proxy", "--grpc-keepalive-min-time="], ["grpc-proxy", "--permit-without-stream=maybe"],
    ["grpc-proxy", "--resolver-ttl=1.5"], ["grpc-proxy", "--max-send-bytes=99999999999999999999"], ["grpc-proxy", "--resolver-prefix=/p"],
    ["grpc-proxy", "--resolver-ttl=60"], ["grpc-proxy", "--debug=x"], ["grpc-proxy", "--bad"], ["grpc-proxy", "--endpoints"],
    ["gateway", "--retry-delay=5"], ["gateway", "--bad"],
]  # fmt: skip


def test_command_lines_are_refused_as_by_etcds_proxies(reference, tmp_path):
    """What is wrong, in the same words, and the same exit code."""
    ours = tmp_path / "etcd"
    ours.symlink_to(os.path.abspath(quorate().command[0]))

    def refusal(binary, command, flag):
        done = subprocess.run(
            [binary, command, "start", flag], capture_output=True, text=True, timeout=20, env=clean_environment(), cwd=tmp_path
        )
        return done.returncode, done.stderr.splitlines()[0]

    for command, flag in REFUSED:
        code, words = refusal(reference.etcd, command, flag)
        if words == f"Error: unknown flag: {flag.partition('=')[0]}" and flag != "--bad":
            # Of a later release.
            continue
        our_code, our_words = refusal(ours, command, flag)
        # What would have been right follows.
        assert (our_code, our_words.partition(" (allowed: ")[0]) == (code, words), (command, flag)


class Echo(threading.Thread):
    """Sends back what it gets, and ends its side when the client has ended its own."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            while part := connection.recv(65536):
                connection.sendall(part)


def test_bytes_pass_untouched_both_ways(proxies):
    """Much more than any buffer holds, to a client that begins to read late; then the end of one direction alone."""
    echo = Echo()
    proxy = proxies([f"http://127.0.0.1:{echo.port}"], "--probe", "tcp")
    proxy.start_without_waiting()
    poll(lambda: connects(proxy.port), 10, "the proxy listens")
    poll(lambda: web.raw(proxy.port, b"x") == b"x", 10, "the echo answers through the proxy")
    sent = os.urandom(1 << 16) * 256
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as connection:
        writer = threading.Thread(target=lambda: (connection.sendall(sent), connection.shutdown(socket.SHUT_WR)))
        writer.start()
        time.sleep(0.3)
        received = bytearray()
        while part := connection.recv(1 << 16):
            received += part
        writer.join()
    # Digests, because the difference of so many bytes would be worked out for hours.
    assert (len(received), hashlib.sha256(received).digest()) == (len(sent), hashlib.sha256(sent).digest())


def test_addresses_that_swallow_connections_hold_up_nobody(trio, proxies):
    """Probes pass over the connections they have; whoever comes anew waits a moment for such an address, not for its time-out."""
    gates = [Gate(member.client_port) for member in trio.members[1:]]
    urls = [gate.url for gate in gates] + trio.urls[:1]
    proxy = proxies(urls, "--policy", "round-robin", "--connect-timeout", "20s", "--refresh-interval", "0").start()
    proxy.wait_for_all()
    for gate in gates:
        gate.swallow()
    slowest = 0
    for number in range(9):
        began = time.monotonic()
        # gRPC's own client would give up sooner and come back.
        assert web.request(proxy.port, "/v3/kv/put", "POST", '{"key":"YQ==","value":"%d"}' % (1000 + number)).status == 200
        slowest = max(slowest, time.monotonic() - began)
    # Two of them a quarter of a second each, and a machine that is busy.
    assert slowest < 8, slowest


def test_memory_of_the_start_is_given_back(daemons, proxies, reference):
    member = daemons(etcd(reference), "member").start()
    proxy = proxies([member.client_url]).start()

    def mebibytes(name):
        with open(f"/proc/{proxy.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(name + ":")) / 1024

    poll(lambda: mebibytes("VmRSS") < 0.8 * mebibytes("VmHWM"), 10, lambda: f"{mebibytes('VmRSS')} of {mebibytes('VmHWM')} MiB")
    with Client(proxy.endpoint) as client:
        client.put(b"a", b"1")


def test_draining_lets_connections_end_and_then_ends_them(daemons, proxies, reference):
    member = daemons(etcd(reference), "member").start()
    proxy = proxies([member.client_url], "--drain-timeout", "2s").start()
    with Client(proxy.endpoint) as client:
        client.put(b"a", b"1")
        proxy.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        # No new connections; the one there goes on until the limit.
        poll(lambda: not connects(proxy.port), 1.5, "the listener is closed")
        assert client.get(b"a") == b"1"
        assert proxy.process.wait(10) == 0
        assert 1.5 < time.monotonic() - began < 6


def test_the_access_log_says_how_each_request_went(daemons, proxies, reference):
    member = daemons(etcd(reference), "member").start()
    proxy = proxies([member.client_url], "--access-log", mode="http").start()
    began = proxy.log.stat().st_size

    def lines():
        said = [json.loads(line) for line in proxy.log.read_bytes()[began:].splitlines()]
        # What the proxy was asked while it started may be written late.
        return [line for line in said if line["msg"] == "request" and not line["request"].endswith("KV/Range")]

    with Client(proxy.endpoint) as client:
        client.put(b"a", b"1")
        assert client.outcome("KV/Put", b"").code == "INVALID_ARGUMENT"
        with client.watch(b"a") as responses:
            next(responses)
        assert web.request(proxy.port, "/v3/kv/range", "POST", '{"key":"YQ=="}').status == 200
        web.request(proxy.port, "/proxy/health")
    poll(lambda: len(lines()) >= 4, 5, lambda: proxy.log.read_bytes()[began:])
    put, refused, watch, plain = sorted(lines(), key=lambda line: ("kv/range" in line["request"], "Watch" in line["request"], line["ts"]))
    assert put["request"] == refused["request"] == "/etcdserverpb.KV/Put"
    assert (put["grpc-status"], refused["grpc-status"]) == (0, 3)
    assert put["endpoint"] == member.client_url and put["attempts"] == 1 and put["end"] == "answered"
    assert put["request-bytes"] > 5 and put["response-bytes"] > 5 and put["remote-addr"].startswith("127.0.0.1:")
    assert watch["request"] == "/etcdserverpb.Watch/Watch" and watch["end"] == "cancelled by client"
    assert plain["request"] == "POST /v3/kv/range" and plain["status"] == 200 and plain["request-bytes"] == 14


def test_the_access_log_says_how_each_connection_ended(daemons, proxies, reference):
    member = daemons(etcd(reference), "member").start()
    proxy = proxies([member.client_url], "--access-log").start()
    began = proxy.log.stat().st_size
    with Client(proxy.endpoint) as client:
        client.put(b"a", b"1")
        member.kill()

    def lines():
        said = [json.loads(line) for line in proxy.log.read_bytes()[began:].splitlines()]
        # That of the start may be written late.
        return [line for line in said if line["msg"] == "connection" and line["end"] != "closed by client"]

    poll(lines, 5, lambda: proxy.log.read_bytes()[began:])
    (line, *_) = lines()
    assert line["endpoint"] == member.client_url and line["attempts"] == 1 and line["remote-addr"].startswith("127.0.0.1:"), line
    assert line["end"] in ("closed by endpoint", "failed", "moved off: unreachable") and line["sent-bytes"] > 100 < line["received-bytes"], line


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def test_connections_past_the_limit_are_refused(daemons, proxies, reference):
    member = daemons(etcd(reference), "member").start()
    proxy = proxies([member.client_url], "--max-connections", "3").start()
    poll(lambda: web.metrics(proxy.pages)["quorate_proxy_client_connections"][2][""] == 0, 5, "no connections")
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port)))
        poll(lambda: web.metrics(proxy.pages)["quorate_proxy_client_connections"][2][""] == 3, 5, "three connections")
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as extra:
            with contextlib.suppress(ConnectionError):
                assert extra.recv(1) == b""
        assert web.metrics(proxy.pages)["quorate_proxy_client_connections_refused_total"][2][""] == 1
