"""A name server on a loopback address, and programs that ask it and nobody else."""

import itertools
import os
import socket
import struct
import subprocess
import threading

import pytest

HOST, SERVICE = 1, 33
NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3
# So that two runs on one host do not meet.
NETWORK = f"127.53.{os.getpid() % 250 + 1}"
ADDRESSES = itertools.count(1)


def _name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


class NameServer:
    """Answers what is in `hosts` and `services`; may be told to fail."""

    def __init__(self, folder):
        self.hosts = {}
        #: "_service._tcp.domain" to a list of (priority, weight, port, host).
        self.services = {}
        #: Answers with this code whatever is asked.
        self.failure = None
        #: Only TCP gets records: what does not fit a datagram is asked for there.
        self.truncates = False
        self.address = f"{NETWORK}.{next(ADDRESSES)}"
        try:
            self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._datagrams.bind((self.address, 53))
            self._listener = socket.create_server((self.address, 53))
        except OSError as error:
            pytest.skip(f"no name server can be run here: {error}")
        self._configuration = folder / "resolv.conf"
        self._configuration.write_text(f"nameserver {self.address}\noptions timeout:1 attempts:1\n")
        if subprocess.run([*self.prefix, "true"], capture_output=True).returncode != 0:
            pytest.skip("this user may not give a program its own /etc/resolv.conf")
        for work in (self._serve_datagrams, self._serve_connections):
            threading.Thread(target=work, daemon=True).start()

    @property
    def prefix(self):
        """Put before a command line, makes the program ask this server. The process keeps its id."""
        return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(self._configuration)]

    def close(self):
        for each in (self._datagrams, self._listener):
            # Wakes the thread that waits in it.
            each.shutdown(socket.SHUT_RDWR) if each is self._listener else each.sendto(b"", (self.address, 53))
            each.close()

    def _serve_datagrams(self):
        while True:
            try:
                question, sender = self._datagrams.recvfrom(512)
                if question:
                    self._datagrams.sendto(self._answer(question, self.truncates), sender)
            except OSError:
                return

    def _serve_connections(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        """One question after the other, until the other side has none any more."""
        with connection:
            connection.settimeout(5)
            try:
                while length := connection.recv(2, socket.MSG_WAITALL):
                    reply = self._answer(connection.recv(*struct.unpack("!H", length), socket.MSG_WAITALL), False)
                    connection.sendall(struct.pack("!H", len(reply)) + reply)
            except (OSError, struct.error):
                return

    def _answer(self, question, truncated):
        labels, offset = [], 12
        while question[offset]:
            labels.append(question[offset + 1 : offset + 1 + question[offset]].decode())
            offset += 1 + question[offset]
        name, kind = ".".join(labels).lower(), struct.unpack_from("!H", question, offset + 1)[0]
        code, records = NO_ERROR, []
        if self.failure is not None:
            code = self.failure
        elif kind == HOST and name in self.hosts:
            records = [socket.inet_aton(self.hosts[name])]
        elif kind == SERVICE and name in self.services:
            records = [struct.pack("!HHH", *numbers) + _name(host) for *numbers, host in self.services[name]]
        elif name not in self.hosts and name not in self.services:
            code = NO_SUCH_NAME
        if truncated:
            records = []
        flags = 0x8180 | code | (0x0200 if truncated else 0)
        reply = question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question[12 : offset + 5]
        for data in records:
            # The name of the question, then type, class, seconds to live, and the data.
            reply += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 1, len(data)) + data
        return reply
