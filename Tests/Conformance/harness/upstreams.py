"""What stands where a proxy expects members: gates before real ones, and servers that answer as a test wants."""

import concurrent.futures
import contextlib
import socket
import threading
import time

import grpc


class Gate(threading.Thread):
    """Passes connections on to a member, until it swallows new ones: those that stand go on."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.member = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.listener.settimeout(0.05)
        self.swallows = False
        self.held = []
        self.start()

    def run(self):
        while not self.swallows:
            with contextlib.suppress(TimeoutError):
                ends = [self.listener.accept()[0], socket.create_connection(self.member)]
                self.held += ends
                for one, other in (ends, ends[::-1]):
                    one.settimeout(None)
                    threading.Thread(target=self.copy, args=(one, other), daemon=True).start()

    @staticmethod
    def copy(one, other):
        with contextlib.suppress(OSError):
            while part := one.recv(65536):
                other.sendall(part)
            other.shutdown(socket.SHUT_WR)

    def swallow(self):
        """Once the queue is full the kernel answers nobody who knocks."""
        self.swallows = True
        self.join()
        with contextlib.suppress(TimeoutError):
            while True:
                self.held.append(socket.create_connection(self.listener.getsockname(), timeout=0.5))


class Slow(Gate):
    """Passes answers on late."""

    def __init__(self, port, seconds):
        self.seconds = seconds
        super().__init__(port)

    def copy(self, one, other):
        if one.getpeername() != self.member:
            return Gate.copy(one, other)
        with contextlib.suppress(OSError):
            while part := one.recv(65536):
                time.sleep(self.seconds)
                other.sendall(part)
            other.shutdown(socket.SHUT_WR)


class Scripted:
    """Answers every call by `answer(number, context)`, a generator of the reply's messages; `number` counts calls from 0."""

    def __init__(self, answer, addresses=1):
        self.calls = 0
        self._answer = answer
        self._lock = threading.Lock()
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers([self])
        self.urls = [f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}" for _ in range(addresses)]

    def service(self, _):
        return grpc.unary_stream_rpc_method_handler(self._serve)

    def _serve(self, _, context):
        with self._lock:
            number, self.calls = self.calls, self.calls + 1
        yield from self._answer(number, context)

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(0).wait(10)


def connections_to(port):
    """Established ones, counted at the end that connected."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows[1:])
