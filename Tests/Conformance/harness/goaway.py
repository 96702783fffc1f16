"""A relay in front of a member's client port that says GOAWAY in its name: in good order, as a server does that is about to stop."""

import contextlib
import socket
import threading

from .http2 import PREFACE, frame

GOAWAY = 7


class Dismissing(threading.Thread):
    """Passes frames on until `dismiss`: then it answers for no stream that the member has not seen, and cuts the connection when what is
    under way has had its time."""

    #: How long calls that the member works on have.
    SECONDS = 1.5

    def __init__(self, port):
        super().__init__(daemon=True)
        self._member = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections = []
        self.dismissed = self.dropped = 0
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                self._connections.append(_Connection(self, client, socket.create_connection(self._member)))

    def dismiss(self):
        """GOAWAY on every connection there is; new ones are taken as before."""
        connections, self._connections = self._connections, []
        for each in connections:
            each.dismiss()

    def close(self):
        # An accept that waits is not ended by closing alone.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._connections:
            each.cut()


class _Connection:
    def __init__(self, relay, client, member):
        self._relay, self._client, self._member = relay, client, member
        #: Held while frames go to either side, so that what is announced is so.
        self._lock = threading.Lock()
        self._last_stream, self._is_dismissed = 0, False
        for end in (client, member):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for run in (self._to_member, self._to_client):
            threading.Thread(target=run, daemon=True).start()

    def _to_member(self):
        with contextlib.suppress(OSError), self._client.makefile("rb") as source:
            self._member.sendall(source.read(len(PREFACE)))
            while head := source.read(9):
                whole = head + source.read(int.from_bytes(head[:3], "big"))
                stream = int.from_bytes(head[5:9], "big")
                with self._lock:
                    if self._is_dismissed and stream > self._last_stream:
                        self._relay.dropped += head[3] == 1
                        continue
                    self._last_stream = max(self._last_stream, stream)
                    self._member.sendall(whole)
        self.cut()

    def _to_client(self):
        with contextlib.suppress(OSError), self._member.makefile("rb") as source:
            while head := source.read(9):
                whole = head + source.read(int.from_bytes(head[:3], "big"))
                with self._lock:
                    self._client.sendall(whole)
        self.cut()

    def dismiss(self):
        with self._lock, contextlib.suppress(OSError):
            self._is_dismissed = True
            self._client.sendall(frame(GOAWAY, 0, 0, self._last_stream.to_bytes(4, "big") + bytes(4)))
            self._relay.dismissed += 1
        threading.Timer(self._relay.SECONDS, self.cut).start()

    def cut(self):
        for end in (self._client, self._member):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
