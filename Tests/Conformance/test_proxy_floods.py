"""Clients that take their time, and headers that do not end, in http mode: over in bounded time and memory, and others are served."""

import contextlib
import selectors
import socket
import ssl
import statistics
import time

import grpc
import pytest
from harness.client import Client
from harness.daemon import etcd, poll
from harness.http2 import PREFACE, frame, grpc_head, preface_then, whole_frames
from harness.pki import Authority

HEADER_SECONDS = 1
#: A literal header field with a name of one byte and a long value, none of it indexed.
LONG_FIELD = b"\x00\x01x\x7f\x81\x7e" + b"v" * 16384


#: What a connection says at once, and what it goes on with byte by byte.
SLOW = {
    "nothing": (b"", b""),
    "a request line": (b"", b"GET /" + b"a" * 1000),
    "header fields": (b"GET /health HTTP/1.1\r\nhost: a\r\n", b"x: y\r\n" * 1000),
    "HTTP/2's preface": (b"", PREFACE),
    "a header block": (preface_then(frame(1, 0, 1, b"\x82")), frame(9, 0, 1, b"\x86" * 1000)),
    # Only where there is TLS in front of everything.
    "a handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", bytes(1000)),
}

#: What does not end. Each goes on as long as it is let.
ENDLESS = {
    "a request line": (b"GET /", b"a" * 65536),
    "a header field": (b"GET /health HTTP/1.1\r\nhost: a\r\nx: ", b"a" * 65536),
    "header fields": (b"GET /health HTTP/1.1\r\nhost: a\r\n", b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 1000),
    "continuation frames": (preface_then(frame(1, 0, 1, b"\x82\x86\x84")), frame(9, 0, 1, LONG_FIELD[:16384]) * 4),
    "empty continuation frames": (preface_then(frame(1, 0, 1, b"\x82\x86\x84")), frame(9, 0, 1) * 4000),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("floods") / "ca")
    authority.pair = authority.issue("proxy")
    return authority


@pytest.fixture(params=["http", "https"])
def proxy(request, daemons, proxies, reference, authority):
    member = daemons(etcd(reference), "member").start()
    pair = ["--cert-file", authority.pair.certificate, "--key-file", authority.pair.key]
    proxy = proxies(
        [member.client_url], "--header-timeout", f"{HEADER_SECONDS}s", *(pair if request.param == "https" else []), mode="http",
        scheme=request.param,
    )  # fmt: skip
    proxy.start_without_waiting()
    proxy.wait_for_all(1)
    proxy.credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes()) if request.param == "https" else None
    proxy.context = authority.context() if request.param == "https" else None
    return proxy


def connect(proxy, protocols=("h2", "http/1.1"), handshake=True):
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    if proxy.context is None or not handshake:
        return connection
    proxy.context.set_alpn_protocols(list(protocols))
    return proxy.context.wrap_socket(connection, server_hostname="localhost")


def memory(proxy):
    """Bytes that are the process's own."""
    with open(f"/proc/{proxy.process.pid}/status") as file:
        line = next(line for line in file if line.startswith("RssAnon:"))
    return int(line.split()[1]) << 10


class Others:
    """A client that does what it always does."""

    def __init__(self, proxy):
        self.client = Client(proxy.endpoint, timeout=10, credentials=proxy.credentials)
        self.took = []
        # In the middle of a flood a connection takes longer than gRPC waits for one.
        self.client.put(b"a", b"1")

    def ask(self):
        began = time.monotonic()
        self.client.put(b"a", b"1")
        self.took.append(time.monotonic() - began)

    def check(self):
        self.client.close()
        # Most of it is the disk's; a proxy that stood still would show.
        assert statistics.median(self.took) < 0.5, sorted(self.took)[-3:]


def is_over(connection):
    """Whether the other side has ended the connection; what it said before is read."""
    try:
        connection.settimeout(0)
        while connection.recv(65536):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except (OSError, ssl.SSLError):
        pass
    return True


def test_who_sends_a_byte_now_and_then_is_cut_in_time(proxy):
    others, before = Others(proxy), memory(proxy)
    with contextlib.ExitStack() as stack:
        slow = []
        for name, (at_once, rest) in SLOW.items():
            is_handshake = name == "a handshake"
            if is_handshake and proxy.context is None:
                continue
            for _ in range(40):
                protocols = ("h2",) if "block" in name or "preface" in name else ("http/1.1",)
                connection = stack.enter_context(connect(proxy, protocols, handshake=not is_handshake))
                connection.sendall(at_once)
                slow.append((name, connection, iter(rest)))
        began = time.monotonic()
        while slow:
            others.ask()
            for each in list(slow):
                name, connection, rest = each
                if is_over(connection):
                    slow.remove(each)
                    continue
                with contextlib.suppress(OSError, ssl.SSLError, StopIteration):
                    connection.send(bytes([next(rest)]))
            assert time.monotonic() - began < 15 * HEADER_SECONDS, {name for name, _, _ in slow}
            time.sleep(0.05)
        assert memory(proxy) - before < 32 << 20
    others.check()


def test_headers_without_end_are_cut(proxy):
    others, before = Others(proxy), memory(proxy)
    highest = 0
    for name, (begin, more) in ENDLESS.items():
        with contextlib.ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            protocols = ("h2",) if "continuation" in name else ("http/1.1",)
            for _ in range(20):
                connection = stack.enter_context(connect(proxy, protocols))
                connection.sendall(begin)
                connection.settimeout(0)
                selector.register(connection, selectors.EVENT_WRITE, [0])
            began = time.monotonic()
            while selector.get_map():
                for key, _ in selector.select(0.1):
                    try:
                        key.data[0] += key.fileobj.send(more)
                    except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                        continue
                    except (OSError, ssl.SSLError):
                        selector.unregister(key.fileobj)
                        continue
                    # What fits in the sockets' own buffers is nobody's fault.
                    assert key.data[0] < 16 << 20, f"{name} goes on"
                highest = max(highest, memory(proxy))
                assert time.monotonic() - began < 15 * HEADER_SECONDS, f"{name}: {len(selector.get_map())} are left"
            others.ask()
    assert highest - before < 32 << 20, f"{(highest - before) >> 20} MiB"
    # Nothing is left of them.
    poll(lambda: memory(proxy) - before < 16 << 20, 5, lambda: f"{(memory(proxy) - before) >> 20} MiB")
    others.check()


#: Requests whose bodies do not end: what comes first, what goes on, and the protocol.
ENDLESS_BODIES = {
    "a message longer than any member takes": ("h2", grpc_head(1, "KV/Put") + frame(0, 0, 1, b"\0\x7f\xff\xff\xff"), frame(0, 0, 1, bytes(16384)) * 4),
    "messages without number": ("h2", grpc_head(1, "KV/Put"), frame(0, 0, 1, bytes(5) * 3000) * 4),
    "a call of the gateway": ("http/1.1", b"POST /v3/kv/put HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
                              b"4000\r\n" + bytes(16384) + b"\r\n"),
}  # fmt: skip


def is_answered(protocol, received):
    """Whether what has come has the end of a response to the first request."""
    if protocol == "http/1.1":
        return received.startswith(b"HTTP/1.1 413 ")
    return any(stream == 1 and (kind == 3 or flags & 1) for kind, flags, stream, _ in whole_frames(received))


def test_bodies_without_end_are_answered_in_the_middle(proxy):
    others, before = Others(proxy), memory(proxy)
    highest = 0
    for name, (protocol, begin, more) in ENDLESS_BODIES.items():
        with contextlib.ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            for _ in range(8):
                connection = stack.enter_context(connect(proxy, (protocol,)))
                connection.sendall(preface_then(begin) if protocol == "h2" else begin)
                connection.settimeout(0)
                selector.register(connection, selectors.EVENT_WRITE, bytearray())
            began = time.monotonic()
            while selector.get_map():
                for key, _ in selector.select(0.05):
                    with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                        key.fileobj.send(more)
                for key in list(selector.get_map().values()):
                    with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                        key.data.extend(key.fileobj.recv(65536))
                    if is_answered(protocol, key.data):
                        selector.unregister(key.fileobj)
                highest = max(highest, memory(proxy) - before)
                assert time.monotonic() - began < 15, f"{name}: {len(selector.get_map())} wait for their answer"
            others.ask()
    # Of each request two megabytes, which could be sent again, and what is on its way.
    assert highest < 48 << 20, f"{highest >> 20} MiB"
    others.check()
