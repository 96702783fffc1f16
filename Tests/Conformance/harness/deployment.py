"""Members started as guides for etcd have it: `etcd --config-file FILE`, the binary under test behind the name `etcd`."""

import json
import os
import pathlib
import selectors
import socket
import subprocess
import threading

from . import releases
from .daemon import Software, clean_environment, poll

TOOL_SECONDS = 60


def binary_under_test():
    return os.environ.get("QUORATE_BINARY") or str(releases.ROOT / ".build" / "release" / "quorate")


def named_etcd(folder):
    """The binary under test behind a symbolic link named `etcd`, with no flags of its own."""
    link = pathlib.Path(folder) / "bin" / "etcd"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(binary_under_test())
    return Software("quorate", [link])


def yaml(settings):
    """Mappings of texts, numbers, booleans and mappings: all that configuration files of etcd hold."""
    lines = []
    for key, value in settings.items():
        if isinstance(value, dict):
            lines += [f"{key}:", *("  " + line for line in yaml(value).splitlines())]
        else:
            lines.append(f"{key}: {str(value).lower() if isinstance(value, bool) else value}")
    return "\n".join(lines) + "\n"


class Relay:
    """Forwards connections of one port to another, as a container's published ports do."""

    def __init__(self, target):
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    @staticmethod
    def _forward(near, far):
        with near, far, selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select():
                    try:
                        if not (data := key.fileobj.recv(1 << 16)):
                            return
                        key.data.sendall(data)
                    except OSError:
                        return

    def close(self):
        self._listener.close()


class Guide:
    """The members of one guide, their configuration files, and etcdctl as the guide calls it."""

    def __init__(self, make, reference, folder, tls=None):
        self._make = make
        self.reference = reference
        self.folder = pathlib.Path(folder)
        self.software = named_etcd(folder)
        #: (authority, certificate, key), used for everything.
        self.tls = tls
        self.members = []
        self.relays = []

    @property
    def scheme(self):
        return "https" if self.tls else "http"

    def member(self, name, relayed=False):
        """A member that is not started yet. With relays, it listens on other ports than it is known under."""
        member = self._make(self.software, name, name=name)
        member.advertised = member.client_port, member.peer_port
        if relayed:
            relays = [Relay(member.client_port), Relay(member.peer_port)]
            self.relays += relays
            member.advertised = tuple(relay.port for relay in relays)
        self.members.append(member)
        return member

    def client_url(self, member):
        return f"{self.scheme}://127.0.0.1:{member.advertised[0]}"

    def peer_url(self, member):
        return f"{self.scheme}://127.0.0.1:{member.advertised[1]}"

    @property
    def initial_cluster(self):
        return ",".join(f"{member.name}={self.peer_url(member)}" for member in self.members)

    def settings(self, member, **changes):
        settings = {
            "name": member.name,
            "data-dir": member.data_dir,
            "listen-client-urls": f"{self.scheme}://0.0.0.0:{member.client_port}",
            "listen-peer-urls": f"{self.scheme}://0.0.0.0:{member.peer_port}",
            "advertise-client-urls": self.client_url(member),
            "initial-advertise-peer-urls": self.peer_url(member),
            "initial-cluster": self.initial_cluster,
            "initial-cluster-state": "new",
            "initial-cluster-token": "etcd-cluster",
        } | changes
        if self.tls:
            authority, certificate, key = self.tls
            security = {
                "client-cert-auth": True,
                "auto-tls": True,
                "cert-file": certificate,
                "key-file": key,
                "trusted-ca-file": authority,
            }
            settings |= {"client-transport-security": security, "peer-transport-security": security}
        return settings

    def configure(self, member, **changes):
        """Writes the member's etcd.conf."""
        file = member.folder / "etcd.conf"
        file.write_text(yaml(self.settings(member, **changes)))
        return file

    def launch(self, member):
        """Starts a member with the file that was written last; it need not answer yet."""
        return member.spawn([self.software.command[0], "--config-file", str(member.folder / "etcd.conf")])

    def start(self, *members):
        """Starts members, all unless named, and waits until every endpoint is healthy."""
        members = members or self.members
        for member in members:
            self.launch(member)
        self.await_health(*members)

    def await_health(self, *members):
        def healthy():
            for member in members:
                assert member.process.poll() is None, f"{member.name} ended:\n{member.log_tail()}"
            return self.attempt("endpoint", "health", "--command-timeout=1s", members=members).returncode == 0

        poll(healthy, 40, lambda: "\n".join(member.log_tail(5) for member in members), 0.2)

    def stop(self):
        for member in self.members:
            if member.process is not None and member.process.poll() is None:
                assert member.stop() == 0

    @property
    def endpoints(self):
        return ",".join(self.client_url(member) for member in self.members)

    @property
    def access(self):
        """What etcdctl is told about certificates."""
        if not self.tls:
            return []
        return [f"{flag}={file}" for flag, file in zip(("--cacert", "--cert", "--key"), self.tls)]

    def attempt(self, *arguments, members=None, endpoints=None):
        """etcdctl's outcome, from all members unless some are named."""
        urls = endpoints or ",".join(self.client_url(member) for member in members or self.members)
        return run(self.reference.etcdctl, f"--endpoints={urls}", *self.access, *arguments)

    def ctl(self, *arguments, members=None, endpoints=None):
        """etcdctl's output; it must not fail."""
        done = self.attempt(*arguments, members=members, endpoints=endpoints)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def statuses(self):
        """`endpoint status -w json | jq '[.[]|{Endpoint, revision: .Status.header.revision}]'` and the rest of it."""
        return json.loads(self.ctl("endpoint", "status", "-w", "json"))

    def close(self):
        for relay in self.relays:
            relay.close()


def run(*command, env=None, cwd=None, seconds=TOOL_SECONDS):
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=seconds, cwd=cwd,
        env=clean_environment() | (env or {}),
    )  # fmt: skip
