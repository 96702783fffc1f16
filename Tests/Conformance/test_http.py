"""The pages beside the gRPC API: health, version, metrics, gRPC's health service, and what is no HTTP at all."""

import json
import random
import re
import socket

import grpc
import pytest

from harness import web
from harness.client import ALL_KEYS, Outcome
from harness.cluster import Cluster
from harness.daemon import free_ports, poll, quorate
from harness.protobuf import embedded

CHECKS = {
    "livez": ["serializable_read"],
    "readyz": ["data_corruption", "linearizable_read", "non_learner", "serializable_read"],
}
NOSPACE, CORRUPT = 1, 2


def alarm(client, kind, raised):
    client.call("Maintenance/Alarm", bytes([8, 1 if raised else 2, 0x18, kind]))


def same(both, path, method="GET", **options):
    """Asks both sides for a page and compares what matters; returns the reference's reply."""
    replies = both.each(lambda daemon: web.request(daemon.client_port, path, method, **options))
    reference = replies.reference.comparable(both.sides.reference.names)
    ours = replies.ours.comparable(both.sides.ours.names)
    assert reference == ours, f"{method} {path}"
    return replies.reference


@pytest.fixture
def ours(daemons):
    return daemons(quorate(), "member").start()


class TestPages:
    def test_health(self, both):
        assert same(both, "/health").text == '{"health":"true","reason":""}'
        queries = (
            "serializable=true",
            "serializable=false",
            "exclude=NOSPACE",
            "exclude=UNHEARD",
            "exclude=CORRUPT&exclude=NOSPACE",
        )
        for query in queries:
            assert same(both, "/health?" + query).status == 200

    def test_health_under_alarms(self, both):
        for kind, name in ((NOSPACE, "NOSPACE"), (CORRUPT, "CORRUPT")):
            both.each(lambda daemon: alarm(daemon.client, kind, True))
            reply = same(both, "/health")
            assert reply.status == 503 and name in reply.text
            assert same(both, "/health?exclude=" + name).status == 200
            both.each(lambda daemon: alarm(daemon.client, kind, False))
            assert same(both, "/health").status == 200

    def test_version(self, both):
        """etcd's two fields; there may be others beside them."""
        replies = both.each(lambda daemon: web.request(daemon.client_port, "/version"))
        ours = json.loads(replies.ours.text)
        assert ours["etcdcluster"] == json.loads(replies.reference.text)["etcdcluster"] == "3.5.0"
        assert re.fullmatch(r"3\.5\.\d+", ours["etcdserver"])
        assert replies.ours.headers["content-type"] == "application/json"

    def test_methods(self, both):
        for path in ("/health", "/version", "/livez", "/readyz"):
            if path in ("/livez", "/readyz") and both.release.number < (3, 5, 11):
                continue
            for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
                same(both, path, method)

    def test_unknown_pages(self, both):
        for path in ("/nothing", "/v2/keys", "/health/", "/healthz", "/debug/pprof/", "/livez/nothing", "/metricsx"):
            assert same(both, path).status == 404

    def test_other_origins(self, both):
        same(both, "/health", headers={"Origin": "http://elsewhere"})
        same(both, "/version", "OPTIONS", headers={"Origin": "http://elsewhere", "Access-Control-Request-Method": "GET"})

    def test_several_requests_on_one_connection(self, ours):
        wanted = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n" * 3 + b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        # Go's server gives up requests of a client that has closed its side.
        received = web.raw(ours.client_port, wanted, half_close=False)
        assert received.count(b"HTTP/1.1 200 OK\r\n") == 4
        assert received.count(b'"etcdserver"') == 3 and received.count(b'"health":"true"') == 1

    def test_members_on_the_peer_port(self, both):
        for path in ("/members", "/health", "/downgrade/enabled"):
            replies = both.each(lambda daemon: web.request(daemon.peer_port, path))
            reference = replies.reference.comparable(both.sides.reference.names)
            assert reference == replies.ours.comparable(both.sides.ours.names), path


class TestLivezAndReadyz:
    def test_like_etcd(self, both):
        if both.release.number < (3, 5, 11):
            pytest.skip(f"etcd {both.release.version} has neither")
        for page, checks in CHECKS.items():
            for query in ("", "?exclude=unheard", *(f"?exclude={check}" for check in checks)):
                assert same(both, f"/{page}{query}").text == "ok\n"
            for check in checks:
                assert same(both, f"/{page}/{check}").status == 200

    @pytest.mark.parametrize("page", CHECKS)
    def test_verbose(self, ours, page):
        """The checks come in any order."""
        checks = CHECKS[page]
        lines = web.request(ours.client_port, f"/{page}?verbose").text.splitlines()
        assert lines[-1] == "ok"
        assert sorted(lines[:-1]) == sorted(f"[+]{check} ok" for check in checks)
        excluded = web.request(ours.client_port, f"/{page}?verbose&exclude={checks[0]}").text.splitlines()
        assert sorted(excluded) == sorted(["ok", *(f"[+]{check} ok" for check in checks[1:])])
        reply = web.request(ours.client_port, f"/{page}/{checks[0]}?verbose")
        assert reply.text == f"[+]{checks[0]} ok\nok\n"

    def test_alarms(self, ours):
        alarm(ours.client, NOSPACE, True)
        assert web.request(ours.client_port, "/readyz").status == 200
        alarm(ours.client, CORRUPT, True)
        reply = web.request(ours.client_port, "/readyz")
        assert reply.status == 503 and "[-]data_corruption failed: alarm activated: CORRUPT\n" in reply.text
        assert web.request(ours.client_port, "/readyz/data_corruption").status == 503
        assert web.request(ours.client_port, "/readyz?exclude=data_corruption").status == 200
        assert web.request(ours.client_port, "/livez").status == 200
        alarm(ours.client, CORRUPT, False)
        assert web.request(ours.client_port, "/readyz").status == 200

    def test_without_quorum(self, daemons):
        """One of two members: alive, not ready. Only the metrics address promises an answer then."""
        (metrics_port,) = free_ports(1)
        daemon = daemons(quorate(), "member")
        daemon.flags = [
            "--listen-metrics-urls", f"http://127.0.0.1:{metrics_port}",
            "--initial-cluster", f"default={daemon.peer_url},absent=http://127.0.0.1:9",
        ]  # fmt: skip
        daemon.spawn()

        def status(path):
            try:
                return web.request(metrics_port, path).status
            except OSError:
                return None

        poll(lambda: status("/livez") == 200, 20, "alive")
        assert status("/health") == 503
        assert status("/readyz") == 503
        assert status("/livez/serializable_read") == 200
        assert status("/metrics") == 200
        assert daemon.process.poll() is None


class TestMetrics:
    def test_page(self, both):
        replies = both.each(lambda daemon: web.request(daemon.client_port, "/metrics"))
        for reply in (replies.reference, replies.ours):
            assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain; version=0.0.4")

    def test_own_address(self, daemons):
        (port,) = free_ports(1)
        daemons(quorate(), "member", flags=["--listen-metrics-urls", f"http://127.0.0.1:{port}"]).start()
        for path in ("/metrics", "/health", "/livez", "/readyz"):
            assert web.request(port, path).status == 200, path
        for path in ("/version", "/v3/kv/range"):
            assert web.request(port, path).status == 404, path


SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


def serving(member):
    """What Check answers, which has to be what List does."""
    answer = member.client.call("grpc.health.v1.Health/Check", b"")
    listed = member.client.call("grpc.health.v1.Health/List", b"")
    assert listed == embedded(1, embedded(2, answer)), (answer, listed)
    return answer


class TestHealthService:
    def test_like_etcd(self, both):
        def answers(daemon):
            client = daemon.client
            asked = [client.outcome("grpc.health.v1.Health/Check", request) for request in (b"", b"\x0a\x07unknown")]
            with grpc.insecure_channel(daemon.endpoint) as channel:
                watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=10)
                asked.append(next(watch))
                watch.cancel()
            return asked

        replies = both.each(answers)
        assert replies.reference == replies.ours
        assert replies.ours[0] == b"\x08\x01" and replies.ours[1].code == "NOT_FOUND"

    def test_the_truth_about_alarms(self, ours):
        """NOSPACE is no reason not to ask it, CORRUPT is; whoever watches is told at once."""
        with grpc.insecure_channel(ours.endpoint) as channel:
            watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=30)
            assert next(watch) == SERVING
            for kind, expected in ((NOSPACE, SERVING), (CORRUPT, NOT_SERVING)):
                alarm(ours.client, kind, True)
                assert serving(ours) == expected
            assert next(watch) == NOT_SERVING
            for kind in (NOSPACE, CORRUPT):
                alarm(ours.client, kind, False)
            assert next(watch) == SERVING and serving(ours) == SERVING
            watch.cancel()

    def test_the_truth_about_learners_and_leaders(self, daemons, reference):
        cluster = Cluster(daemons, [quorate(), quorate()], reference).start()
        learner = cluster.add(quorate(), learner=True)
        poll(lambda: cluster.is_serving(learner), 30, "the learner runs")
        assert serving(learner) == NOT_SERVING and serving(cluster[0]) == serving(cluster[1]) == SERVING
        poll(lambda: cluster.tries("member", "promote", f"{cluster.id(learner):x}", member=cluster[0]), 30, "promoted", 0.2)
        poll(lambda: serving(learner) == SERVING, 20, "the voter is told of its promotion")
        for each in cluster.members[:2]:
            each.kill()
        poll(lambda: serving(learner) == NOT_SERVING, 20, "it sees that nobody leads")

    def test_unknown_methods(self, both):
        methods = ("etcdserverpb.KV/Nothing", "etcdserverpb.Nothing/Range", "no.such.Service/Method")
        replies = both.each(lambda daemon: [daemon.client.outcome(method, b"") for method in methods])
        assert replies.reference == replies.ours
        assert all(isinstance(reply, Outcome) and reply.code == "UNIMPLEMENTED" for reply in replies.ours)

    def test_bad_messages(self, both):
        """Bytes that are no message, too many bytes, and a deadline that is over."""
        requests = [b"\xff\xff\xff", b"\x0a\xff\x01a", b"\x0a", b"\x0a\x01a\x18\xff"]
        replies = both.each(lambda daemon: [daemon.client.outcome("KV/Range", request) for request in requests])
        assert [reply.code for reply in replies.reference] == [reply.code for reply in replies.ours] == ["INTERNAL"] * 4
        large = b"\x0a\x01a\x12\x80\x80\xc0\x01" + b"v" * (3 << 20)
        replies = both.each(lambda daemon: daemon.client.outcome("KV/Put", large))
        assert replies.reference == replies.ours and replies.ours.code == "RESOURCE_EXHAUSTED"
        large = b"\x0a\x01a\x12\x80\x80\x68" + b"v" * (104 << 14)
        replies = both.each(lambda daemon: daemon.client.outcome("KV/Put", large))
        assert replies.reference == replies.ours == Outcome("INVALID_ARGUMENT", "etcdserver: request is too large")


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
GARBAGE = {
    "text": b"GARBAGE\r\n\r\n",
    "zeros": bytes(4096),
    "random": random.Random(1).randbytes(65536),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512),
    "half a request line": b"GET /hea",
    "endless header": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (2 << 20),
    "negative length": b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "preface only": PREFACE,
    "preface, then text": PREFACE + b"GET / HTTP/1.1\r\n\r\n",
    "frame too large": PREFACE + SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "headers that do not decode": PREFACE + SETTINGS + b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff",
    "data on a stream that is not open": PREFACE + SETTINGS + b"\x00\x00\x04\x00\x00\x00\x00\x00\x09abcd",
    "window of nothing": PREFACE + SETTINGS + b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    "settings of half": PREFACE + b"\x00\x00\x05\x04\x00\x00\x00\x00\x00\x00\x01\x00\x00\x10",
}


class TestGarbage:
    @pytest.mark.parametrize("port", ["client", "peer"])
    def test_whatever_comes(self, daemons, port):
        """Every connection is ended, and the member goes on as if nothing had been."""
        daemon = daemons(quorate(), "member").start()
        daemon.client.put(b"a", b"1")
        number = {"client": daemon.client_port, "peer": daemon.peer_port}[port]
        for name, data in GARBAGE.items():
            received = web.raw(number, data)
            if received.startswith(b"HTTP/1.1"):
                assert received[9:12] in (b"400", b"404", b"405", b"413", b"431", b"501"), f"{name}: {received[:80]}"
            assert daemon.process.poll() is None, f"{name}:\n{daemon.log_tail()}"
        assert daemon.client.get(b"a") == b"1"

    def test_many_silent_connections(self, ours):
        """Connections that say nothing cost others nothing."""
        silent = [socket.create_connection(("127.0.0.1", ours.client_port)) for _ in range(300)]
        try:
            ours.client.put(b"a", b"1")
            assert web.request(ours.client_port, "/health").status == 200
        finally:
            for connection in silent:
                connection.close()
