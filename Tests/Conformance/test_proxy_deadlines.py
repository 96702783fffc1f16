"""Deadlines and cancellations of the proxy's clients end the work at the member too."""

import contextlib
import json
import socket
import threading

import pytest
from harness import web
from harness.client import Client, range_request
from harness.daemon import etcd, poll, quorate
from harness.http2 import PREFACE, frame, frames, grpc_data, grpc_head, preface_then
from harness.protobuf import embedded, message

CREATE = embedded(1, message((1, b"a")))
HEADERS, DATA, RESET = 1, 0, 3
CANCEL = (8).to_bytes(4, "big")


@pytest.fixture(params=["etcd", "quorate"])
def member(request, daemons, reference):
    return daemons(etcd(reference) if request.param == "etcd" else quorate(), "member").start()


@pytest.fixture
def proxy(member, proxies):
    return proxies([member.client_url], "--refresh-interval", "0", "--access-log", mode="http").start()


def watchers(member):
    return web.metrics(member.client_port)["etcd_debugging_mvcc_watcher_total"][2][""]


def watches_ended(member):
    """How many watch streams are over, however they ended: at a deadline etcd's counter says this or that."""
    handled = web.metrics(member.client_port)["grpc_server_handled_total"][2]
    return sum(count for labels, count in handled.items() if 'grpc_method="Watch"' in labels)


def until_the_end(proxy, method, request):
    """What comes of a call with a deadline whose client neither ends its side nor gives the call up: kinds of frames."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        end = 1 if method.startswith("KV") else 0
        data = grpc_data(1, request, flags=end)
        connection.sendall(preface_then(grpc_head(1, method, grpc_timeout="500m"), data))
        kinds = []
        for kind, flags, stream, _ in frames(connection):
            if stream == 1:
                kinds.append(kind)
                if kind == RESET or flags & 1:
                    return kinds
    raise AssertionError("the connection ended first")


def statuses(proxy, method):
    """Of such calls, as the access log has them."""
    lines = [json.loads(line) for line in proxy.log.read_text().splitlines() if method in line]
    return [line.get("grpc-status") for line in lines if line["msg"] == "request"]


def test_the_member_keeps_to_the_clients_deadline(member, proxy):
    before = watches_ended(member)
    # Its header, that the watch has been created, and the status.
    assert until_the_end(proxy, "Watch/Watch", CREATE) == [HEADERS, DATA, HEADERS]
    # etcd says either "deadline exceeded" or the same with the code Unknown, whichever of its goroutines is first.
    poll(lambda: statuses(proxy, "Watch/Watch") in ([4], [2]), 5, lambda: proxy.log_tail(5))
    poll(lambda: (watches_ended(member) - before, watchers(member)) == (1, 0), 5, lambda: (watches_ended(member), watchers(member)))


class ResetsLate(threading.Thread):
    """Sends nothing but a reset, once each call's deadline is over: of its status and its reset grpc-go's server may lose the first."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            if len(connection.recv(len(PREFACE), socket.MSG_WAITALL)) < len(PREFACE):
                return
            connection.sendall(frame(4, 0, 0))
            for kind, _, stream, _ in frames(connection):
                if kind == HEADERS:
                    threading.Timer(0.6, connection.sendall, [frame(RESET, 0, stream, CANCEL)]).start()


def test_a_reset_at_the_deadline_is_no_failure(proxies):
    late = ResetsLate()
    proxy = proxies([late.url], "--refresh-interval", "0", "--access-log", "--probe", "tcp", mode="http")
    proxy.start_without_waiting()
    proxy.wait_for_all(1)
    for method, request in (("KV/Range", range_request(b"a")), ("Watch/Watch", CREATE), ("KV/Put", b"\x0a\x01a")):
        assert until_the_end(proxy, method, request) == [HEADERS], method
        poll(lambda: statuses(proxy, method) == [4], 5, lambda: proxy.log_tail(5))
    (shown,) = json.loads(web.request(proxy.pages, "/proxy/endpoints").text)["endpoints"]
    assert shown["failed"] == 0 and shown["state"] == "serving"
    late.listener.close()


def test_a_cancelled_watch_is_cancelled_at_the_member(member, proxy):
    with Client(proxy.endpoint) as staying, staying.watch(b"a") as watch:
        assert next(watch)["created"]
        with contextlib.ExitStack() as stack:
            going = stack.enter_context(Client(proxy.endpoint))
            with going.watch(b"a") as cancelled:
                assert next(cancelled)["created"]
                poll(lambda: watchers(member) == 2, 5, lambda: watchers(member))
            poll(lambda: watchers(member) == 1, 5, lambda: watchers(member))
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as going:
            going.sendall(preface_then(grpc_head(1, "Watch/Watch"), grpc_data(1, CREATE)))
            poll(lambda: watchers(member) == 2, 5, lambda: watchers(member))
        # With a connection goes what is on it.
        poll(lambda: watchers(member) == 1, 5, lambda: watchers(member))
        revision = staying.put(b"a", b"1")["header"]["revision"]
        assert next(watch)["events"][0]["kv"]["mod_revision"] == revision
