"""`quorate proxy` in http mode in front of real members: what it passes, where it sends it, and what it says of that."""

import base64
import collections
import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time

import pytest
from harness import web
from harness.client import STATUS, Client, operation, put_request, range_request, txn_request
from harness.daemon import etcd, poll
from harness.http2 import frame, frames, head, preface_then
from harness.pki import Authority
from harness.protobuf import decode, message
from harness.trio import Trio
from harness.upstreams import connections_to


@pytest.fixture
def trio(daemons, reference):
    return Trio(daemons, etcd(reference))


@pytest.fixture
def member(daemons, reference):
    return daemons(etcd(reference), "member").start()


def ids(trio):
    """Member ids in hexadecimal, by client URL."""
    return {each["client_urls"][0].decode(): f"{each['id']:x}" for each in trio.members[0].client.members()}


def test_http_passes_with_tls_on_both_sides(daemons, proxies, reference, tmp_path):
    """The gateway, pages of the member's and of the proxy's own, and a WebSocket that stays open."""
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("node", "node")
    files = ["--cert-file", pair.certificate, "--key-file", pair.key]
    trio = Trio(daemons, etcd(reference), client_flags=files)
    proxy = proxies(
        trio.urls, "--cacert", authority.certificate, *files, "--policy", "round-robin", mode="http", scheme="https"
    )
    proxy.start_without_waiting()
    proxy.wait_for_all()
    context = authority.context()

    def ask(path, method="GET", body=None):
        connection = http.client.HTTPSConnection("localhost", proxy.port, timeout=10, context=context)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read().decode()

    for number in range(4):
        assert ask("/v3/kv/put", "POST", json.dumps({"key": "YQ==", "value": "Yg=="}))[0] == 200, number
    assert json.loads(ask("/v3/kv/range", "POST", '{"key":"YQ=="}')[1])["kvs"][0]["value"] == "Yg=="
    assert json.loads(ask("/version")[1])["etcdserver"] == reference.version
    assert "etcd_server_has_leader 1" in ask("/metrics")[1]
    assert "quorate_proxy_endpoint_serving" in ask("/proxy/metrics")[1]
    assert json.loads(ask("/health")[1])["health"] == json.loads(ask("/proxy/health")[1])["health"] == "true"
    with WebSocket(proxy.port, "/v3/watch", context) as watch:
        watch.send('{"create_request": {"key": "YQ=="}}')
        assert json.loads(watch.receive())["result"]["created"]
        ask("/v3/kv/put", "POST", json.dumps({"key": "YQ==", "value": "Yw=="}))
        assert json.loads(watch.receive())["result"]["events"][0]["kv"]["value"] == "Yw=="


class WebSocket:
    """As much of RFC 6455 as short text messages take."""

    def __init__(self, port, path, context):
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n".encode()
        )
        self.received = b""
        assert b" 101 " in self._until(b"\r\n\r\n")

    def _until(self, end):
        while end not in self.received:
            self.received += self._more()
        head, _, self.received = self.received.partition(end)
        return head

    def _more(self):
        part = self.socket.recv(65536)
        assert part, "the end of the connection"
        return part

    def send(self, text):
        data = text.encode()
        self.socket.sendall(bytes([0x81, 0x80 | len(data)]) + bytes(4) + data)

    def receive(self):
        def take(count):
            while len(self.received) < count:
                self.received += self._more()
            taken, self.received = self.received[:count], self.received[count:]
            return taken

        length = take(2)[1]
        if length == 126:
            length = int.from_bytes(take(2), "big")
        return take(length)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def test_pages_and_the_gateway_pass_over_http2_too(member, proxies, reference):
    """What is not gRPC, without TLS: a member's pages, the proxy's own, and a call of the gateway with its body."""
    proxy = proxies([member.client_url], mode="http").start()
    end, body = 5, b'{"key":"YQ==","value":"Yg=="}'
    asked = [
        head(1, "GET", "/version", flags=end), head(3, "GET", "/proxy/endpoints", flags=end), head(5, "POST", "/v3/kv/put"), frame(0, 1, 5, body),
        head(7, "GET", "/nothing", flags=end),
    ]  # fmt: skip
    status, bodies = {}, collections.defaultdict(bytes)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        connection.sendall(preface_then(*asked))
        for kind, flags, stream, payload in frames(connection):
            if kind == 1:
                # 200 and 404 are in HPACK's table.
                status[stream] = payload[0]
            if kind == 0:
                bodies[stream] += payload
            if len(status) == 4 and all(bodies[each] for each in (1, 3, 5, 7)):
                break
    assert status == {1: 0x88, 3: 0x88, 5: 0x88, 7: 0x8D}
    assert json.loads(bodies[1])["etcdserver"] == reference.version
    assert [each["endpoint"] for each in json.loads(bodies[3])["endpoints"]] == [member.client_url]
    assert member.client.get(b"a") == b"b"


def test_many_clients_share_few_connections(member, proxies):
    proxy = proxies([member.client_url], "--threads", "2", mode="http").start()
    proxy.wait_for_all(1)
    before = connections_to(member.client_port)
    with contextlib.ExitStack() as stack:
        streams = []
        for number in range(30):
            client = stack.enter_context(Client(proxy.endpoint))
            streams.append(stack.enter_context(client.watch(b"a")))
            assert next(streams[-1])["created"]
        # One for each thread; another is the probes' and was there before.
        assert connections_to(member.client_port) - before <= 2
        revision = client.put(b"a", b"1")["header"]["revision"]
        for stream in streams:
            assert next(stream)["events"][0]["kv"]["mod_revision"] == revision


def test_answers_are_the_members_own(member, proxies):
    """Errors with their texts and trailers, and streams whose client has said all it had to say."""
    proxy = proxies([member.client_url], mode="http").start()
    calls = [
        ("KV/Range", range_request(b"a", revision=1_000)), ("KV/Range", b""), ("KV/Put", put_request(b"", b"1")),
        ("KV/Put", put_request(b"a", bytes(2 << 20))), ("KV/Put", put_request(b"a", b"1", lease=77)), ("KV/Compact", b"\x08\x7f"),
        ("KV/Txn", txn_request(success=[operation(put=put_request(b"a", b"1"))] * 2)), ("Lease/LeaseRevoke", b"\x08\x4d"),
        ("Lease/LeaseTimeToLive", b"\x08\x4d"), ("Auth/Authenticate", b"\x0a\x01a\x12\x01b"), ("Nothing/Nowhere", b""),
        ("KV/Range", b"\xff\xff"),
    ]  # fmt: skip

    def how_it_ended(client, method, request):
        future = client.start(method, request)
        error = future.exception()
        trailers = sorted(future.trailing_metadata())
        return (error.code().name, error.details(), trailers) if error else (len(future.result()), trailers)

    def renewals(client, lease):
        """Two requests and the end of them; then all that comes, to its end."""
        requests = iter([message((1, lease)), message((1, lease))])
        call = client._channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive")(requests, timeout=10)
        return [decode(part, {2: "id", 3: "ttl"}) for part in call], call.code().name

    with Client(proxy.endpoint) as client:
        direct = member.client
        for method, request in calls:
            expected = how_it_ended(direct, method, request)
            assert how_it_ended(client, method, request) == expected, method
        lease = direct.grant(100)
        assert renewals(client, lease) == renewals(direct, lease) == ([{"id": lease, "ttl": 100}] * 2, "OK")
        # Nothing but the end: etcd waits for ever when that comes with the header fields.
        for _ in range(5):
            call = client._channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive")(iter([]), timeout=10)
            assert list(call) == [] and call.code().name == "OK"


def test_calls_that_speak_of_one_member_name_it(trio, proxies):
    proxy = proxies(trio.urls, "--policy", "round-robin", mode="http").start()
    proxy.wait_for_all()
    known, seen = ids(trio), set()
    with Client(proxy.endpoint) as client:
        for _ in range(6):
            call = client.start("Maintenance/Status", b"")
            told = dict(call.initial_metadata())
            answered = decode(call.result(), STATUS)["header"]["member_id"]
            assert known[told["quorate-endpoint"]] == told["quorate-member"] == f"{answered:x}"
            seen.add(told["quorate-endpoint"])
        assert seen == set(trio.urls)
        snapshot = client._channel.unary_stream("/etcdserverpb.Maintenance/Snapshot")(b"", timeout=20)
        assert dict(snapshot.initial_metadata())["quorate-endpoint"] in trio.urls
        snapshot.cancel()
        assert "quorate-endpoint" not in dict(client.start("KV/Range", range_request(b"a")).initial_metadata())


POLICIES = {
    "round-robin": ["--policy", "round-robin"],
    "least-loaded": ["--policy", "least-loaded"],
    "sticky": ["--policy", "sticky"],
    "the leader": ["--policy", "round-robin", "--prefer-leader-for-writes"],
    "the near one": ["--policy", "round-robin", "--prefer-endpoints", "localhost"],
}


def test_requests_go_where_the_policy_says(trio, proxies):
    leader = next(each for each in trio.members if each.client.status()["leader"] == each.client.status()["header"]["member_id"])
    # One of them by another name.
    near = trio.urls[2].replace("127.0.0.1", "localhost")
    urls = [*trio.urls[:2], near]
    leader_url = near if leader is trio.members[2] else leader.client_url
    for name, flags in POLICIES.items():
        folder = name.replace(" ", "-")
        proxy = proxies(urls, "--access-log", "--refresh-interval", "0", "--threads", "1", *flags, mode="http", folder=folder).start()
        proxy.wait_for_all()
        with Client(proxy.endpoint) as client:
            for _ in range(12):
                client.put(b"policy", b"1")

        def served(log=proxy.log):
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            return [line["endpoint"] for line in lines if line["msg"] == "request" and line["request"].endswith("KV/Put")]

        poll(lambda: len(served()) == 12, 5, served)
        counts = collections.Counter(served())
        expected = {
            "round-robin": lambda: sorted(counts.values()) == [4, 4, 4],
            "least-loaded": lambda: counts.keys() <= set(urls),
            "sticky": lambda: len(counts) == 1,
            "the leader": lambda: counts.keys() == {leader_url},
            "the near one": lambda: counts.keys() == {near},
        }
        assert expected[name](), (name, counts)
        proxy.kill()


def test_connections_past_the_limit_are_refused_and_served_ones_go_on(member, proxies):
    proxy = proxies([member.client_url], "--max-connections", "3", mode="http")
    proxy.start_without_waiting()
    proxy.wait_for_all(1)
    with Client(proxy.endpoint) as client, contextlib.ExitStack() as stack:
        client.put(b"a", b"1")
        for _ in range(2):
            stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port)))
        open_connections = lambda: web.metrics(proxy.pages)["quorate_proxy_client_connections"][2][""]  # noqa: E731
        poll(lambda: open_connections() == 3, 5, "three connections")
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as extra, contextlib.suppress(ConnectionError):
            assert extra.recv(1) == b""
        client.put(b"a", b"2")


def test_metrics_count_what_happens_at_each_endpoint(trio, proxies):
    # Requests are to find out that a member is gone, before a probe does.
    proxy = proxies(trio.urls, "--policy", "round-robin", "--probe-interval", "20s", mode="http").start()
    proxy.wait_for_all()
    with Client(proxy.endpoint) as client, client.watch(b"a") as watch:
        assert next(watch)["created"]
        for number in range(9):
            client.put(b"a", b"v" * 1000)

        def each(name, suffix="", labels=""):
            family = web.metrics(proxy.pages)["quorate_proxy_endpoint_" + name][2]
            return [family[f'{suffix}{{endpoint="{url}"{labels}}}'] for url in trio.urls]

        assert sum(each("in_flight")) == 1
        assert min(each("requests_total", labels=',outcome="succeeded"')) >= 3
        assert min(each("latency_seconds", "_count")) >= 3 and min(each("latency_seconds", "_sum")) > 0
        # Counted twice a second.
        poll(lambda: min(each("sent_bytes_total")) > 3000, 5, lambda: each("sent_bytes_total"))
        assert min(each("received_bytes_total")) > 0
        web.request(proxy.port, "/v3/kv/put", "POST", json.dumps({"key": "YQ==", "value": "QUFB" * 10_000}))
        assert max(each("sent_bytes_total")) > 40_000
        assert each("ejections_total") == [0, 0, 0] and each("serving") == [1, 1, 1]
        assert min(each("probe_latency_seconds", "_count")) > 0
        retries = lambda: web.metrics(proxy.pages)["quorate_proxy_retries_total"][2][""]  # noqa: E731
        assert retries() == 0
        # Reads that a killed member was to answer are asked again elsewhere: until a probe notices, some are.
        trio.members[0].kill()
        for number in range(9):
            client.range(b"a", serializable=True)
        poll(lambda: proxy.states()[trio.urls[0]] == "down", 5, proxy.states)
        assert retries() >= 1
        assert each("serving") == [0, 1, 1]


def test_replies_held_back_are_whole_and_longer_ones_are_not_held(trio, proxies):
    """A member that hangs in the middle of either: what fits the buffer is read elsewhere, of what does not its client is told."""
    small, large = b"s" * 700_000, [b"l" * 700_000] * 12
    direct = trio.members[0].client
    direct.put(b"small", small)
    for number, value in enumerate(large):
        direct.put(b"large/%02d" % number, value)
    proxy = proxies(trio.urls, "--policy", "round-robin", mode="http").start()
    proxy.wait_for_all()
    finished, failures, done = threading.Event(), {"small": [], "large": []}, collections.Counter()

    def read(name, key, end):
        with Client(proxy.endpoint, timeout=15) as client:
            while not finished.is_set():
                outcome = client.outcome("KV/Range", range_request(key, end, serializable=True))
                done[name] += 1
                if not isinstance(outcome, bytes):
                    failures[name].append((outcome.code, outcome.text))
                else:
                    assert len(outcome) > (700_000 if name == "small" else 12 * 700_000), "a reply was cut"

    threads = [threading.Thread(target=read, args=each) for each in
               [("small", b"small", b"")] * 3 + [("large", b"large/", b"large0")] * 2]  # fmt: skip
    for thread in threads:
        thread.start()
    try:
        for member in trio.members[:2]:
            time.sleep(0.5)
            member.process.send_signal(signal.SIGSTOP)
            poll(lambda url=member.client_url: proxy.states()[url] == "down", 5, proxy.states)
            member.process.send_signal(signal.SIGCONT)
            poll(lambda url=member.client_url: proxy.states()[url] == "serving", 10, proxy.states)
    finally:
        finished.set()
        for thread in threads:
            thread.join(30)
    assert failures["small"] == [] and min(done.values()) > 3, (failures, done)
    assert {code for code, _ in failures["large"]} <= {"UNAVAILABLE", "INTERNAL", "UNKNOWN"}, failures
