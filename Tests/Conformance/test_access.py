"""Who may call over plain HTTP: --cors, --host-whitelist, --listen-client-http-urls, as etcd answers."""

import contextlib

import grpc
import pytest

from harness import web
from harness.client import Client
from harness.daemon import etcd, free_ports, quorate


@pytest.fixture
def pair(daemons, reference):
    def make(*flags):
        made = [daemons(etcd(reference), "reference", flags=flags), daemons(quorate(), "ours", flags=flags)]
        return [daemon.start() for daemon in made]

    return make


def seen(daemon, path="/health", method="GET", **headers):
    reply = web.request(daemon.client_port, path, method, headers=headers)
    return reply.comparable({f"127.0.0.1:{daemon.client_port}": "<CLIENT>"})


def test_origins(pair):
    reference, ours = pair("--cors", "http://one.example:80,http://two.example:8080")
    for origin in ("http://one.example:80", "http://two.example:8080", "http://three.example", "null", ""):
        for method in ("GET", "OPTIONS", "POST"):
            headers = {"Origin": origin} if origin else {}
            assert seen(ours, method=method, **headers) == seen(reference, method=method, **headers), (origin, method)
    allowed = seen(ours, Origin="http://one.example:80")[1]["access-control-allow-origin"]
    assert allowed == "http://one.example:80"


def test_hosts(pair):
    reference, ours = pair("--host-whitelist", "localhost,127.0.0.1,[::1]")
    hosts = ("localhost", "localhost:2379", "127.0.0.1:1", "evil.example", "evil.example:80", "[::1]:80", "::1", "a:b:c")
    for host in hosts:
        for method in ("GET", "OPTIONS"):
            assert seen(ours, method=method, Host=host) == seen(reference, method=method, Host=host), (host, method)
    assert seen(ours, Host="evil.example")[0] == 421
    # gRPC is not asked for its authority.
    ours.client.put(b"a", b"1")


def answers(port, path="/health"):
    with contextlib.suppress(OSError):
        return web.raw(port, b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path.encode(), half_close=False)[:12]
    return b""


def test_http_apart_from_grpc(daemons, reference):
    for software in (etcd(reference), quorate()):
        (port,) = free_ports(1)
        flags = ["--listen-client-http-urls", f"http://127.0.0.1:{port}"]
        daemon = daemons(software, software.name, flags=flags).start()
        assert daemon.client.put(b"a", b"1")
        for path in ("/health", "/version", "/metrics", "/readyz"):
            assert answers(port, path) == b"HTTP/1.1 200", (software, path)
            assert not answers(daemon.client_port, path).startswith(b"HTTP/1.1 2"), (software, path)
        with Client(f"127.0.0.1:{port}", timeout=2) as client, pytest.raises(grpc.RpcError):
            client.put(b"a", b"2")
        assert daemon.client.get(b"a") == b"1"
        assert '"traffic":"http"' in daemon.log_text() and '"traffic":"grpc"' in daemon.log_text()
