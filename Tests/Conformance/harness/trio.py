"""Three real members and a proxy in front of them."""

import json
import os
import pathlib
import re
import subprocess

from . import releases, web
from .client import Client
from .daemon import clean_environment, free_ports, poll
from .protobuf import message

# Elections within a second or so, and no false ones on a machine that has much else to do.
TIMING = ["--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "error"]


class Trio:
    """A cluster of three members that can be killed, stopped and replaced."""

    def __init__(self, make, software, network=None, client_flags=(), flags=()):
        """With flags for the client port its listeners speak TLS, and they are known to serve only when somebody has asked them."""
        self._make = make
        self.software = software
        self.members = [make(software, f"m{number}", name=f"m{number}") for number in range(3)]
        self._made = 3
        if network:
            for member in self.members:
                member.client_relay_port = network.relay(member, member.client_port)
                member.relay_port = network.relay(member)
        initial = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        for member in self.members:
            member.flags = [*TIMING, "--initial-cluster", initial, *flags, *map(str, client_flags)]
            member.client_scheme = "https" if client_flags else "http"
            member.spawn()
        for member in self.members:
            if not client_flags:
                member.wait_ready()
        if network:
            network.learn({each["id"]: each["name"].decode() for each in self.members[0].client.members()})

    @property
    def urls(self):
        return [member.advertised_client_url for member in self.members]

    def replace(self, old):
        """Takes a member out of the cluster and puts a new one, with new ports and an empty directory, in its place."""
        helper = next(member for member in self.members if member is not old).client
        old_id = next(each["id"] for each in helper.members() if each.get("name") == old.name.encode())
        # Refused until the cluster has been without changes and losses for a while; done already if the answer was lost.
        def removed():
            outcome = helper.outcome("Cluster/MemberRemove", message((1, old_id)))
            return isinstance(outcome, bytes) or outcome.code == "NOT_FOUND"

        poll(removed, 20, "a member can be removed")
        old.kill()
        new = self._make(self.software, f"m{self._made}", name=f"m{self._made}")
        self._made += 1

        def added():
            return isinstance(helper.outcome("Cluster/MemberAdd", message((1, new.peer_url))), bytes)

        poll(added, 20, "a member can be added")
        self.members = [member for member in self.members if member is not old] + [new]
        initial = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        new.flags = [*TIMING, "--initial-cluster", initial, "--initial-cluster-state", "existing"]
        new.spawn()
        new.wait_ready()
        return new


class Proxy:
    """`quorate proxy` as a process."""

    def __init__(self, folder, endpoints, flags=(), scheme="http"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.endpoints = endpoints
        self.flags = list(flags)
        self.log = self.folder / "proxy.log"
        self.port = free_ports(1)[0]
        self.scheme = scheme
        #: Where its own pages are, if anywhere but on the clients' port.
        self.pages = self.port
        self.process = None
        self._log_start = 0

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"{self.scheme}://{self.endpoint}"

    def log_tail(self, lines=25):
        return "\n".join(self.log.read_text().splitlines()[-lines:]) if self.log.exists() else ""

    def states(self):
        page = json.loads(web.request(self.pages, "/proxy/endpoints").text)
        return {each["endpoint"]: each["state"] for each in page["endpoints"]}

    def answered(self):
        """How many requests each endpoint has answered."""
        return self._by_endpoint("requests_total", r',outcome="succeeded"')

    def in_flight(self):
        """How many requests and streams are at each endpoint."""
        return self._by_endpoint("in_flight")

    def received(self):
        """How many bytes have come from each endpoint; counted twice a second."""
        return self._by_endpoint("received_bytes_total")

    def _by_endpoint(self, metric, labels=""):
        samples = web.metrics(self.pages)["quorate_proxy_endpoint_" + metric][2]
        found = [(re.fullmatch(r'\{endpoint="([^"]*)"' + labels + r"\}", name), value) for name, value in samples.items()]
        return {match.group(1): value for match, value in found if match}

    def wait_for_all(self, count=3):
        """Until so many endpoints serve, and clients are listened for: its pages are there earlier."""

        def served():
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            try:
                listens = b'"serving clients"' in self.log.read_bytes()[self._log_start :]
                return listens and list(self.states().values()).count("serving") == count
            except ConnectionError:
                return False

        poll(served, 20, lambda: self.log.read_text()[-2000:])
        return self

    def start(self):
        """Starts the process and waits until a member answers through it."""
        self.start_without_waiting()

        def ready():
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            with Client(self.endpoint, timeout=2) as client:
                return isinstance(client.outcome("KV/Range", b"\x0a\x01\x00"), bytes)

        poll(ready, 20, lambda: "the proxy serves: " + self.log.read_text()[-2000:])
        return self

    def start_without_waiting(self):
        binary = os.environ.get("QUORATE_BINARY") or releases.ROOT / ".build" / "release" / "quorate"
        with open(self.log, "ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                [
                    str(binary), "proxy",
                    *(["--endpoints", ",".join(self.endpoints)] if self.endpoints else []),
                    "--listen-client-urls", self.url,
                    "--data-dir", str(self.folder / "data"),
                    *self.flags,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=clean_environment(),
            )  # fmt: skip

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
