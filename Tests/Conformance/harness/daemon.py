"""Members as processes: started on free ports, polled until they serve, stopped by their process id."""

import contextlib
import functools
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import time

import grpc
import pytest

from . import releases
from .client import Client

START_SECONDS = 30
STOP_SECONDS = 20
PORT_ATTEMPTS = 5
# A single member elects itself after an election timeout: most of the time it takes to start with the usual 1000 ms.
FAST_ELECTION = ["--heartbeat-interval", "20", "--election-timeout", "200"]


def ports_of_this_process():
    """Below those that connections get by themselves, and not those of the other workers of a run, each in its turn."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    first = 10_000 + worker % 4 * PORTS_PER_WORKER
    offset = os.getpid() * 101
    return (first + (offset + turn) % PORTS_PER_WORKER for turn in itertools.count())


PORTS_PER_WORKER = 5_000
PORTS = ports_of_this_process()


def is_free(port):
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(count):
    """Ports nobody listens on. Another process may take one before it is used: starting is tried again then."""
    return list(itertools.islice(filter(is_free, PORTS), count))


def poll(condition, seconds, what, interval=0.02):
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(interval)


def clean_environment():
    """Without settings that etcd, etcdctl or the member under test would read."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ETCD_", "ETCDCTL_", "QUORATE_"))}


class Software:
    """A program that can be started as a member."""

    def __init__(self, name, command, own_flags=(), release=None):
        self.name = name
        #: Of real etcd.
        self.release = release
        self.command = [str(part) for part in command]
        self.own_flags = list(own_flags)

    def __repr__(self):
        return self.name

    def require_sound_kills(self):
        """Skips the test where this is an etcd release that may lose acknowledged writes when it is killed (3.5.0 to 3.5.2)."""
        if self.release and (3, 5, 0) <= self.release.number <= (3, 5, 2):
            pytest.skip(f"etcd {self.release.version} loses data when it is killed")

    def require(self, flags):
        """Skips the test where this is an etcd release from before a flag it is to be started with."""
        for flag in flags:
            name = flag.split("=")[0]
            if self.release and name.startswith("--") and not any(knows_flag(self.command[0], each) for each in (name, grown_up(name))):
                pytest.skip(f"etcd {self.release.version} has no {name}")

    def flags(self, flags):
        """The same flags under the names that an etcd release has for them: 3.6 began to drop the word experimental, 3.7 knows it no more."""
        if not self.release:
            return list(flags)
        return [
            grown_up(flag) if flag.startswith("--") and not knows_flag(self.command[0], flag.split("=")[0]) else flag
            for flag in map(str, flags)
        ]


def quorate(compatibility=None):
    binary = os.environ.get("QUORATE_BINARY") or releases.ROOT / ".build" / "release" / "quorate"
    return Software("quorate", [binary, "member"], ["--compatibility-version", compatibility or releases.line])


def etcd(release):
    return Software("etcd-" + release.version, [release.etcd], release=release)


def grown_up(flag):
    """The name of a flag that was experimental."""
    return flag.replace("--experimental-", "--", 1)


@functools.cache
def knows_flag(program, name):
    """Whether an etcd release has a flag; some are in no help text."""
    done = subprocess.run([program, f"{name}=1", "--version"], capture_output=True, timeout=START_SECONDS, env=clean_environment())
    return b"flag provided but not defined" not in done.stderr + done.stdout


class Daemon:
    """One member on one data directory; it can be stopped and started again, also by other software."""

    def __init__(
        self, software, folder, name="default", flags=(), environment=None, data_dir=None, timing=FAST_ELECTION,
        peer_scheme="http",
    ):
        self.software = software
        self.timing = list(timing)
        self.client_scheme = "http"
        #: Of clients, where it speaks TLS.
        self.credentials = None
        self.peer_scheme = peer_scheme
        #: As --initial-cluster and --initial-cluster-state have it; of its own alone unless set.
        self.initial_cluster = None
        self.state = "new"
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.flags = list(flags)
        self.environment = environment or {}
        #: Descriptors that the process inherits.
        self.descriptors = ()
        self.data_dir = pathlib.Path(data_dir) if data_dir else self.folder / "data"
        self.log = self.folder / f"{software.name}.log"
        self.process = None
        self.client_port, self.peer_port = free_ports(2)
        #: Of a relay that the other members are told of instead.
        self.relay_port = None
        #: The same for clients.
        self.client_relay_port = None
        self._client = None

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.client_port}"

    @property
    def client_url(self):
        return f"{self.client_scheme}://{self.endpoint}"

    @property
    def peer_url(self):
        """Where the other members find it."""
        return f"{self.peer_scheme}://127.0.0.1:{self.relay_port or self.peer_port}"

    @property
    def client(self):
        if self._client is None:
            self._client = self.connect()
        return self._client

    def connect(self, timeout=10):
        """A client of its own."""
        return Client(self.endpoint, timeout, self.credentials)

    @property
    def advertised_client_url(self):
        return f"{self.client_scheme}://127.0.0.1:{self.client_relay_port or self.client_port}"

    def arguments(self):
        return [
            *self.software.command,
            "--name", self.name,
            "--data-dir", str(self.data_dir),
            "--listen-client-urls", self.client_url,
            "--advertise-client-urls", self.advertised_client_url,
            "--listen-peer-urls", f"{self.peer_scheme}://127.0.0.1:{self.peer_port}",
            "--initial-advertise-peer-urls", self.peer_url,
            "--initial-cluster", self.initial_cluster or f"{self.name}={self.peer_url}",
            "--initial-cluster-state", self.state,
            *self.timing,
            *self.software.own_flags,
            *self.software.flags(self.flags),
        ]  # fmt: skip

    def spawn(self, arguments=None):
        """Starts the process and does not wait for anything."""
        assert self.process is None or self.process.poll() is not None, "still running"
        self.software.require(self.flags)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                arguments or self.arguments(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                pass_fds=self.descriptors,
                env=clean_environment() | self.environment,
            )
        return self

    def start(self, seconds=START_SECONDS):
        """Starts the process and waits until it answers a linearizable read."""
        # A directory remembers its peer URL: only a fresh one can go to other ports.
        attempts = 1 if self.data_dir.exists() else PORT_ATTEMPTS
        for attempt in range(attempts):
            before = self.log.stat().st_size if self.log.exists() else 0
            self.spawn()
            try:
                self.wait_ready(seconds)
                return self
            except AssertionError:
                self.kill()
                if attempt + 1 == attempts or "address already in use" not in self.log_text(before).lower():
                    raise
                self.client_port, self.peer_port = free_ports(2)
                self._forget_client()
        raise AssertionError("unreachable")

    def wait_ready(self, seconds=START_SECONDS):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.software} ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                self.client.range(b"\0")
                return True
            except grpc.RpcError:
                return False

        poll(ready, seconds, lambda: f"{self.software} serves on {self.endpoint}:\n{self.log_tail()}", 0.05)

    def wait_exit(self, seconds):
        """The exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.software} still runs after {seconds} s:\n{self.log_tail()}") from None

    def stop(self, sent=signal.SIGTERM):
        """Ends the process in good order; being killed for taking too long is a failure. Returns the exit status."""
        self._forget_client()
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.send_signal(sent)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.software} did not stop within {STOP_SECONDS} s:\n{self.log_tail()}") from None

    def kill(self):
        self._forget_client()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    def become(self, software):
        """The same directory and ports under other software, from the next start on."""
        self.stop()
        self.software = software
        self.log = self.folder / f"{software.name}.log"
        return self

    def log_text(self, start=0):
        if not self.log.exists():
            return ""
        with open(self.log, "rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")

    def log_tail(self, lines=25):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def _forget_client(self):
        if self._client is not None:
            self._client.close()
            self._client = None


def kill_all(daemons):
    """For clearing up: kills what still runs."""
    for daemon in daemons:
        with contextlib.suppress(Exception):
            daemon.kill()
