"""What passes through the proxy beside messages, what it keeps for clients that do not read, and what idle ones cost it."""

import contextlib
import http.client
import json
import socket
import time

import grpc
import pytest
from harness.client import ALL_KEYS, Client, range_request
from harness.daemon import etcd, poll
from harness.http2 import grpc_data, grpc_head, preface_then
from harness.pki import Authority
from harness.upstreams import Scripted

END_OF_STREAM = 1


def memory(proxy):
    """Bytes that are the process's own."""
    with open(f"/proc/{proxy.process.pid}/status") as file:
        line = next(line for line in file if line.startswith("RssAnon:"))
    return int(line.split()[1]) << 10


@pytest.fixture
def member(daemons, reference):
    return daemons(etcd(reference), "member").start()


# MARK: Metadata


def test_metadata_and_trailers_pass_both_ways(proxies):
    """Names that come twice and bytes as well; of calls that are held back, of streams, and of a procedure that nobody knows yet."""
    sent = [("x-one", "1"), ("x-twice", "a"), ("x-twice", "b"), ("x-bytes-bin", bytes(range(256))), ("token", "abc.7")]

    def answer(_, context):
        asked = [(name, value) for name, value in context.invocation_metadata() if name.startswith("x-") or name == "token"]
        context.send_initial_metadata(asked)
        context.set_trailing_metadata([(f"after-{name}", value) for name, value in asked])
        yield b"abc"
        if dict(asked)["x-one"] != "1":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no, 100 % not: ä")

    def named(metadata, prefix=""):
        wanted = {prefix + name for name, _ in sent}
        return sorted((name.removeprefix(prefix), value) for name, value in metadata if name in wanted)

    with Scripted(answer) as scripted:
        proxy = proxies(scripted.urls, "--probe", "tcp", "--refresh-interval", "0", mode="http")
        proxy.start_without_waiting()
        proxy.wait_for_all(1)
        with Client(proxy.endpoint) as client:
            for method in ("etcdserverpb.KV/Range", "etcdserverpb.KV/Put", "etcdserverpb.Maintenance/Snapshot", "some.Service/Unknown"):
                for metadata in (sent, [("x-one", "2"), *sent[1:]]):
                    call = client._channel.unary_stream("/" + method)(b"\x0a\x01a", metadata=metadata, timeout=10)
                    fails = metadata is not sent
                    with pytest.raises(grpc.RpcError) if fails else contextlib.nullcontext():
                        assert list(call) == [b"abc"]
                    assert named(call.initial_metadata()) == sorted(metadata), method
                    assert named(call.trailing_metadata(), "after-") == sorted(metadata), method
                    assert call.code() is (grpc.StatusCode.FAILED_PRECONDITION if fails else grpc.StatusCode.OK), method
                    assert call.details() == ("no, 100 % not: ä" if fails else "")


# MARK: Back-pressure

MEGABYTES = 48
SNAPSHOT_OF_GATEWAY = b"POST /v3/maintenance/snapshot HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}"
#: Long answers: the mode, and the request. Over HTTP/2 its client lets 65,535 bytes come; over HTTP/1.1 and in tcp mode the sockets' own
#: buffers hold some megabytes of each.
LONG = {
    "a snapshot": ("http", preface_then(grpc_head(1, "Maintenance/Snapshot"), grpc_data(1, b"", END_OF_STREAM))),
    "a long list": ("http", preface_then(grpc_head(1, "KV/Range"), grpc_data(1, range_request(*ALL_KEYS), END_OF_STREAM))),
    "the gateway's snapshot": ("http", SNAPSHOT_OF_GATEWAY),
    "bytes": ("tcp", SNAPSHOT_OF_GATEWAY),
}  # fmt: skip


def test_clients_that_do_not_read_hold_back_the_member(member, proxies):
    """Much less than there is comes to the proxy, which keeps little of that, and others are served."""
    for number in range(MEGABYTES):
        member.client.put(b"filling/%d" % number, bytes(1 << 20))
    running = {mode: proxies([member.client_url], "--refresh-interval", "0", mode=mode, folder=mode).start() for mode in ("http", "tcp")}
    for name, (mode, request) in LONG.items():
        proxy, count = running[mode], 4

        def received(proxy=proxy):
            return sum(proxy.received().values())

        def nothing_more_comes(seen=[0]):  # noqa: B006
            before, seen[0] = seen[0], received()
            return seen[0] - before < 50_000

        first, before = received(), memory(proxy)
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                connection = stack.enter_context(contextlib.closing(socket.socket()))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
                connection.connect(("127.0.0.1", proxy.port))
                connection.sendall(request)
            poll(lambda: received() - first > count * 65_535, 20, f"{name} comes")
            # Bytes are counted twice a second.
            poll(nothing_more_comes, 30, f"{name} goes on coming", 1.5)
            assert received() - first < count * MEGABYTES / 2 * (1 << 20), f"{name}: {received() - first:,.0f} bytes"
            assert memory(proxy) - before < 24 << 20, f"{name}: {(memory(proxy) - before) >> 20} MiB"
            with Client(proxy.endpoint) as client:
                client.put(b"a", b"1")


# MARK: Idle connections

#: How much one may cost: of 10,000 in 100, 220 and 520 MiB.
MOST = {"tcp": 10 << 10, "http": 22 << 10, "https": 52 << 10}


@pytest.mark.parametrize("kind", MOST)
def test_idle_connections_cost_little(member, proxies, tmp_path, kind):
    """Those that have said that they speak HTTP/2, and less where nothing was said; with others it is given back what they needed."""
    count = 800
    context, flags = None, []
    if kind == "https":
        authority = Authority(tmp_path / "ca")
        pair = authority.issue("proxy")
        context, flags = authority.context(), ["--cert-file", pair.certificate, "--key-file", pair.key]
        context.set_alpn_protocols(["h2"])
    proxy = proxies([member.client_url], *flags, mode="tcp" if kind == "tcp" else "http", scheme="https" if context else "http")
    proxy.start_without_waiting()
    proxy.wait_for_all(1)

    def connect(says):
        connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context and says:
            connection = context.wrap_socket(connection, server_hostname="localhost")
        if says:
            connection.sendall(preface_then())
            assert connection.recv(9)
        return connection

    def cost(connections):
        return (memory(proxy) - before) / len(connections)

    with contextlib.ExitStack() as stack:
        # What is made once is not theirs.
        for _ in range(20):
            connect(True).close()
        time.sleep(0.5)
        before = memory(proxy)
        silent = [stack.enter_context(connect(False)) for _ in range(count)]
        assert cost(silent) < 5 << 10, f"{cost(silent):,.0f} bytes each that said nothing"
        stack.close()
        before = min(before, memory(proxy))
        idle = [stack.enter_context(connect(True)) for _ in range(count)]
        poll(lambda: cost(idle) < MOST[kind], 10, lambda: f"{cost(idle):,.0f} bytes each")


def test_what_a_connection_needed_is_given_back_when_it_is_idle(member, proxies):
    """150 of them have each read, and written, more than half a megabyte."""
    value = b"v" * 500_000
    member.client.put(b"a", value)
    proxy = proxies([member.client_url], mode="http").start()
    body = json.dumps({"key": "YQ=="})
    before = memory(proxy)
    with contextlib.ExitStack() as stack:
        highest = 0
        for number in range(150):
            connection = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=15)))
            connection.request("POST", "/v3/kv/range", body)
            assert len(connection.getresponse().read()) > 4 * len(value) / 3
            if number % 10 == 0:
                client = stack.enter_context(Client(proxy.endpoint))
                client.put(b"b", value)
                assert len(client.get(b"a")) == len(value)
            highest = max(highest, memory(proxy) - before)
        poll(lambda: memory(proxy) - before < 24 << 20, 15, lambda: f"{(memory(proxy) - before) >> 20} MiB, {highest >> 20} at most")
