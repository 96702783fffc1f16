"""Connections between members of releases that do not fit: a scripted peer that was of one release and comes back as another."""

import http.client
import http.server
import select
import threading
import time

import pytest

from harness import web
from harness.cluster import Cluster
from harness.daemon import poll, quorate

ID = "000000000000beef"
FITS, FITS_NOT = "3.5.30", ["3.4.23", "3.7.1"]


class Peer(http.server.ThreadingHTTPServer):
    """Answers every stream that is dialed, as the release it says, until it says another."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.version = FITS
        #: Whether it sends anything on streams once they are open.
        self.speaks = True
        #: For how many seconds the member bore with each stream that it closed.
        self.lasted = []
        #: Of the release each answer named: how many are open, and how many were closed by the member.
        self.open, self.closed = {}, {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        version = self.server.version
        self.send_response(200)
        self.send_header("X-Server-Version", version)
        self.end_headers()
        self.close_connection = True
        if "/raft/stream/" not in self.path:
            return
        opened, closed = self.server.open, self.server.closed
        opened[version] = opened.get(version, 0) + 1
        began = time.monotonic()
        # Without these the member would give the stream up by itself.
        heartbeat = bytes(8) if "/msgapp/" in self.path else (2).to_bytes(8, "big") + b"\x08\x08"
        try:
            while self.server.version == version:
                if self.server.speaks:
                    self.wfile.write(heartbeat)
                if select.select([self.connection], [], [], 0.2)[0]:
                    closed[version] = closed.get(version, 0) + 1
                    self.server.lasted.append(time.monotonic() - began)
                    break
        except OSError:
            closed[version] = closed.get(version, 0) + 1
        opened[version] -= 1

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def peer():
    with Peer() as peer:
        yield peer
        peer.shutdown()


@pytest.mark.parametrize("release", FITS_NOT)
def test_a_member_that_comes_back_as_another_release_is_left(daemons, reference, peer, release):
    cluster = Cluster(daemons, [quorate("3.5")], reference).start()
    member = cluster[0]
    cluster.ctl("member", "add", "scripted", f"--peer-urls={peer.url}", "--learner")
    poll(lambda: peer.open.get(FITS) == 2, 20, "both streams are dialed")
    assert FITS not in peer.closed
    start = len(member.log_text())
    peer.version = release
    poll(lambda: peer.closed.get(release, 0) >= 2, 30, lambda: f"the member hangs up:\n{member.log_tail()}")
    poll(lambda: "peer became inactive" in member.log_text(start), 20, "the log tells of it")
    member.client.put(b"a", b"b")
    peer.version = FITS
    poll(lambda: peer.open[FITS] == 2, 30, "both streams are dialed again")


def test_a_peer_that_says_nothing_is_given_up_after_the_read_timeout(daemons, reference):
    """At two members at once, for it takes seconds."""
    with Peer() as soon, Peer() as late:
        for peer, seconds in ((soon, 5), (late, 8)):
            peer.speaks = False
            flags = [f"--raft-read-timeout={seconds}s"]
            cluster = Cluster(lambda software, folder, **options: daemons(software, f"{seconds}{folder}", **options),
                              [quorate("3.5")], reference, flags).start()  # fmt: skip
            cluster.ctl("member", "add", "scripted", f"--peer-urls={peer.url}", "--learner")
        poll(lambda: len(soon.lasted) >= 2 and len(late.lasted) >= 2, 30, "both streams are given up at both members")
        assert min(soon.lasted) > 4.5 and max(soon.lasted[:2]) < min(late.lasted) and min(late.lasted) > 7.5
        soon.shutdown()
        late.shutdown()


@pytest.mark.parametrize("path", ["/raft", "/raft/snapshot", f"/raft/stream/message/{ID}", f"/raft/stream/msgapp/{ID}"])
def test_requests_of_releases_that_do_not_fit_are_refused(daemons, path):
    member = daemons(quorate("3.5"), "ours").start()
    connection = http.client.HTTPConnection("127.0.0.1", member.peer_port, timeout=10)
    own = web.request(member.peer_port, "/members").headers["x-etcd-cluster-id"]

    def status(version=FITS, lowest="3.0.0", cluster=own):
        fields = {"X-Server-From": ID, "X-Server-Version": version, "X-Min-Cluster-Version": lowest, "X-Etcd-Cluster-ID": cluster}
        connection.request("GET" if "stream" in path else "POST", path, headers=fields)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text.strip()

    for version in FITS_NOT:
        assert status(version) == (412, "incompatible version")
    assert status(lowest="3.6.0") == (412, "incompatible version")
    assert status(cluster="1") == (412, "cluster ID mismatch")
    assert status()[0] != 412
