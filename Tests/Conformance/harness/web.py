"""Plain HTTP/1.1 requests, and raw bytes on a socket."""

import contextlib
import http.client
import re
import socket
from dataclasses import dataclass

COMPARED_HEADERS = (
    "content-type", "allow", "location", "access-control-allow-origin", "access-control-allow-methods",
    "access-control-allow-headers", "x-content-type-options",
)  # fmt: skip


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict
    body: bytes

    @property
    def text(self):
        return self.body.decode(errors="replace")

    def comparable(self, names):
        """What must agree between two servers; `names` maps literal texts to labels."""
        text = self.text
        for literal, label in names.items():
            text = text.replace(literal, label)
        text = re.sub(r"\b3\.5\.\d+\b", "3.5.x", text)
        return self.status, {name: self.headers[name] for name in COMPARED_HEADERS if name in self.headers}, text


def request(port, path, method="GET", body=None, headers=None, timeout=15):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def raw(port, data, timeout=5, half_close=True):
    """Sends bytes, says that no more will follow if so told, and returns what comes back until the end or the timeout."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
    return received


def metrics(port):
    """The families of a Prometheus page as {name: (type, {label names}, {labels as text: value})}."""
    families = {}
    for line in request(port, "/metrics").text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            families[name] = (kind, set(), {})
        elif line and not line.startswith("#"):
            match = re.fullmatch(r"([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)", line)
            assert match, f"not a sample: {line!r}"
            name, labels, value = match.groups()
            family = name if name in families else re.sub(r"_(bucket|sum|count)$", "", name)
            assert family in families, f"sample before its type: {line!r}"
            families[family][1].update(re.findall(r'(\w+)="', labels or ""))
            families[family][2][(name[len(family) :] + (labels or ""))] = float(value)
    return families
