"""New certificates and endpoints while streams are open through the proxy, every one of which goes on; and the end of the proxy."""

import contextlib
import hashlib
import queue
import signal
import socket
import ssl
import threading
import time

import grpc
import pytest
from harness.client import SNAPSHOT, WATCH, Client
from harness.daemon import etcd, poll
from harness.pki import Authority
from harness.protobuf import decode, embedded, message
from harness.trio import Trio

KEEPALIVE = {2: "id", 3: "ttl"}
#: Of the snapshot: more than all windows and buffers between the members and a client that does not read.
MEGABYTES = 24


@pytest.fixture
def trio(daemons, reference):
    trio = Trio(daemons, etcd(reference))
    client = trio.members[0].client
    for number in range(MEGABYTES):
        client.put(b"filling/%d" % number, bytes(1 << 20))
    return trio


class OpenStreams:
    """A watch, a keep-alive and a snapshot over one connection; the snapshot's client reads nothing at first."""

    def __init__(self, client):
        self.client = client
        self.ends = []
        self.lease = client.grant(60)
        self._requests = {"Watch/Watch": queue.Queue(), "Lease/LeaseKeepAlive": queue.Queue()}
        self.answers = {name: queue.Queue() for name in self._requests}
        self.calls = {}
        for name, names in (("Watch/Watch", WATCH), ("Lease/LeaseKeepAlive", KEEPALIVE)):
            call = client._channel.stream_stream(f"/etcdserverpb.{name}")(iter(self._requests[name].get, None))
            self.calls[name] = call
            threading.Thread(target=self._read, args=(name, call, names), daemon=True).start()
        self._requests["Watch/Watch"].put(embedded(1, message((1, b"watched"))))
        assert self.answers["Watch/Watch"].get(timeout=10)["created"]
        self.snapshot = client._channel.unary_stream("/etcdserverpb.Maintenance/Snapshot")(b"", timeout=60)
        self.first_part = decode(next(self.snapshot), SNAPSHOT)

    def _read(self, name, call, names):
        try:
            for part in call:
                self.answers[name].put(decode(part, names))
            self.ends.append((name, "ended"))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.CANCELLED:
                self.ends.append((name, error.code().name, error.details()))

    def work(self, writer):
        """An event and a renewal come through the streams that were there from the beginning."""
        revision = writer.put(b"watched", b"1")["header"]["revision"]
        told = self.answers["Watch/Watch"].get(timeout=10)
        assert [event["kv"]["mod_revision"] for event in told["events"]] == [revision]
        self._requests["Lease/LeaseKeepAlive"].put(message((1, self.lease)))
        assert self.answers["Lease/LeaseKeepAlive"].get(timeout=10) == {"id": self.lease, "ttl": 60}
        assert self.ends == []

    def finish_snapshot(self):
        """The rest of it, which its own checksum proves to be whole."""
        content = bytearray(self.first_part["blob"])
        for part in self.snapshot:
            content += decode(part, SNAPSHOT).get("blob", b"")
        assert len(content) > MEGABYTES << 20
        assert hashlib.sha256(content[:-32]).digest() == content[-32:]

    def close(self):
        for requests in self._requests.values():
            requests.put(None)
        for call in [*self.calls.values(), self.snapshot]:
            call.cancel()


def reload(proxy, count):
    """SIGHUP; returns when the proxy says that it is done with it."""
    proxy.process.send_signal(signal.SIGHUP)
    poll(lambda: proxy.log.read_text().count("reloaded the configuration") == count, 10, lambda: proxy.log_tail(5))


def serial(port):
    """Of the certificate that a new connection is shown."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=5)


@pytest.mark.parametrize("mode", ["http", "tcp"])
def test_streams_go_on_while_endpoints_and_certificates_change(trio, proxies, tmp_path, mode):
    authority = Authority(tmp_path / "ca")
    shown, fresh = authority.issue("shown"), authority.issue("fresh")
    scheme = "https" if mode == "http" else "http"
    proxy = proxies([], mode=mode, scheme=scheme)
    settings = tmp_path / "proxy.yaml"

    def write_settings(endpoints):
        lines = {
            "mode": mode, "endpoints": ",".join(endpoints), "listen-client-urls": proxy.url, "data-dir": str(tmp_path / "data"),
            "listen-metrics-urls": f"http://127.0.0.1:{proxy.pages}", "refresh-interval": "0s", "probe-interval": "300ms",
        } | ({"cert-file": str(shown.certificate), "key-file": str(shown.key)} if mode == "http" else {})  # fmt: skip
        settings.write_text("".join(f"{name}: {value}\n" for name, value in lines.items()))

    proxy.flags = ["--config-file", str(settings)]
    write_settings(trio.urls[:1])
    proxy.start_without_waiting()
    proxy.wait_for_all(1)
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes()) if mode == "http" else None
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(Client(proxy.endpoint, credentials=credentials))
        streams = OpenStreams(client)
        stack.callback(streams.close)
        streams.work(client)
        # Another list, in which the streams' endpoint is the last.
        write_settings([*trio.urls[1:], trio.urls[0]])
        reload(proxy, 1)
        proxy.wait_for_all(3)
        streams.work(client)
        if mode == "http":
            before = serial(proxy.port)
            shown.replace_by(fresh)
            reload(proxy, 2)
            assert serial(proxy.port) != before
            # Without their endpoint the watch and the keep-alive go on at another; the snapshot, which cannot, is let end.
            write_settings(trio.urls[1:])
            reload(proxy, 3)
            proxy.wait_for_all(2)
            assert trio.urls[0] not in proxy.states()
            streams.work(client)
            with Client(proxy.endpoint, credentials=credentials) as other:
                streams.work(other)
        streams.finish_snapshot()
        streams.work(client)
        if mode == "tcp":
            # What only passes bytes cannot move them: clients come back by themselves.
            write_settings(trio.urls[1:])
            reload(proxy, 2)
            poll(lambda: len(streams.ends) == 2, 5, lambda: streams.ends)
            client.put(b"watched", b"2")


def test_a_new_file_of_endpoints_moves_nobody_who_need_not(trio, proxies, tmp_path):
    """Nothing but what is wrong about the file changes nothing either."""
    file = tmp_path / "endpoints"
    file.write_text(trio.urls[0] + "\n")
    proxy = proxies([], "--endpoints-file", file, "--refresh-interval", "0", mode="http").start()
    with Client(proxy.endpoint) as client:
        streams = OpenStreams(client)
        try:
            file.write_text("\n".join(trio.urls) + "\n")
            proxy.wait_for_all(3)
            streams.work(client)
            for wrong in ("# nobody\n", "no url\n"):
                file.write_text(wrong)
                lines = proxy.log.read_text().count("the file of endpoints is not used")
                poll(lambda: proxy.log.read_text().count("the file of endpoints is not used") > lines, 5, lambda: proxy.log_tail(5))
                assert sorted(proxy.states()) == sorted(trio.urls)
            streams.work(client)
            streams.finish_snapshot()
        finally:
            streams.close()


@pytest.mark.parametrize("limit", [2, 60])
def test_draining_lets_finish_what_ends_by_itself(trio, proxies, limit):
    """A watch and a keep-alive never would: their clients are told to go elsewhere. A snapshot has the time that the drain may take."""
    proxy = proxies(trio.urls, "--drain-timeout", f"{limit}s", mode="http").start()
    with Client(proxy.endpoint) as client:
        streams = OpenStreams(client)
        try:
            proxy.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            poll(lambda: len(streams.ends) == 2, 5, lambda: streams.ends)
            assert {end[1:] for end in streams.ends} == {("UNAVAILABLE", "quorate proxy: shutting down")}
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", proxy.port), timeout=1).close()
            if limit < 10:
                assert proxy.process.wait(15) == 0 and time.monotonic() - began > limit - 0.5
                with pytest.raises(grpc.RpcError):
                    streams.finish_snapshot()
            else:
                streams.finish_snapshot()
                assert proxy.process.wait(15) == 0
        finally:
            streams.close()
