"""Clusters of members as processes, of any mixture of software."""

import json
import random
import subprocess
import threading

import grpc

from .client import ALL_KEYS, put_request
from .daemon import clean_environment, poll

# Room enough for a machine with two cores that runs all of them.
TIMING = ["--heartbeat-interval", "50", "--election-timeout", "500"]
SETTLE_SECONDS = 30


class Cluster:
    """Members that are founded together; more can be added. With a harness.relay.Network they reach each other through it."""

    def __init__(self, make, softwares, release, flags=(), peer_scheme="http", network=None, timing=TIMING, tls=None):
        self.make = make
        self.release = release
        self.flags = list(flags)
        self.peer_scheme = "https" if tls else peer_scheme
        self.network = network
        #: A harness.pki.ClusterTLS, where members and clients speak it.
        self.tls = tls
        if tls:
            self.flags += tls.flags
        self.timing = timing
        self.members = []
        #: Of members behind a network, by name.
        self.ids = {}
        self.made = 0
        for software in softwares:
            self._member(software)
        text = ",".join(f"{each.name}={each.peer_url}" for each in self.members)
        for each in self.members:
            each.initial_cluster = text

    def _member(self, software, **options):
        # Never the name, and with it the directory, of a member that was removed.
        self.made += 1
        name = f"m{self.made}"
        options |= {"flags": self.flags, "timing": self.timing, "peer_scheme": self.peer_scheme}
        member = self.make(software, name, name=name, **options)
        if self.tls:
            member.client_scheme = "https"
            member.credentials = self.tls.credentials
        if self.network:
            member.relay_port = self.network.relay(member)
        self.members.append(member)
        return member

    def __getitem__(self, index):
        return self.members[index]

    def start(self):
        for each in self.members:
            each.software.require(each.flags)
        for each in self.members:
            each.spawn()
        for each in self.members:
            each.wait_ready()
        if self.network:
            self.ids = {each.name: self.id(each) for each in self.members}
            self.network.learn({id: name for name, id in self.ids.items()})
        return self

    @property
    def running(self):
        return [each for each in self.members if each.process is not None and each.process.poll() is None]

    def ctl(self, *arguments, member=None, fails=False):
        """etcdctl's output, from one member or with all running ones as endpoints."""
        done = self._ctl([member] if member else self.running, *arguments)
        assert (done.returncode != 0) == fails, (arguments, done.stdout, done.stderr)
        return (done.stderr if fails else done.stdout).decode()

    def _ctl(self, members, *arguments):
        endpoints = ",".join(each.client_url if self.tls else each.endpoint for each in members)
        command = [self.release.etcdctl, "--endpoints", endpoints, *(self.tls.words if self.tls else []), *arguments]
        return subprocess.run([str(part) for part in command], capture_output=True, timeout=60, env=clean_environment())

    def _status(self, member):
        return json.loads(self.ctl("endpoint", "status", "-w", "json", member=member))[0]["Status"]

    def tries(self, *arguments, member=None):
        """Whether etcdctl succeeds, at one member or with all running ones as endpoints."""
        return self._ctl([member] if member else self.running, *arguments).returncode == 0

    def is_serving(self, member):
        """Answers what even a learner answers."""
        return self._ctl([member], "endpoint", "status").returncode == 0

    def id(self, member):
        return self._status(member)["header"]["member_id"]

    def leader(self):
        """The member that all running ones take for the leader."""

        def agreed():
            found = {}
            for each in self.running:
                try:
                    status = self._status(each)
                except (AssertionError, subprocess.TimeoutExpired):
                    return None
                found[status["header"]["member_id"]] = (each, status.get("leader", 0))
            leaders = {leader for _, leader in found.values()}
            only = next(iter(leaders)) if len(leaders) == 1 else 0
            return found[only][0] if only in found else None

        return poll(agreed, SETTLE_SECONDS, "all members agree on a leader", 0.1)

    def lead(self, member):
        """Makes a member the leader."""
        leader = self.leader()
        if leader is not member:
            self.ctl("move-leader", f"{self.id(member):x}", member=leader)
            poll(lambda: self.leader() is member, SETTLE_SECONDS, f"{member.name} leads")

    def settle(self):
        """Waits until all running members hold the same revisions, and compares their hashes."""

        def same():
            try:
                revisions = {each.client.range(b"\0", serializable=True)["header"]["revision"] for each in self.running}
            except grpc.RpcError:
                return False
            return len(revisions) == 1

        poll(same, SETTLE_SECONDS, "all members reach the same revision", 0.1)
        hashes = {each.name: each.client.hash_kv() for each in self.running}
        assert len(set(hashes.values())) == 1, hashes
        return self

    def leave_behind(self, behind, leader):
        """A member is down until logs no longer have what it lacks, so the leader sends it a database. It takes a low --snapshot-count."""
        self.lead(leader)
        behind.stop()
        before = len(behind.log_text())
        write(leader, 1500)
        behind.start()
        self.settle()
        text = behind.log_text(before)
        assert "received and saved database snapshot" in text and "applied snapshot" in text, text[-4000:]

    def member_lists(self):
        """What every running member answers, which must be the same."""
        lists = {each.name: self.ctl("member", "list", member=each) for each in self.running}
        assert len(set(lists.values())) == 1, lists
        return next(iter(lists.values())).splitlines()

    def add(self, software, learner=False):
        """Adds a member and starts it; it joins."""
        member = self._member(software)
        options = ["--learner"] if learner else []

        def added():
            done = self._ctl(self.running, "member", "add", member.name, f"--peer-urls={member.peer_url}", *options)
            # Members that met a moment ago are not trusted yet.
            assert done.returncode == 0 or b"unhealthy cluster" in done.stderr, done.stderr
            return done.returncode == 0

        poll(added, SETTLE_SECONDS, "a member is added", 0.5)
        present = [each for each in self.members if each is member or each in self.running]
        member.initial_cluster = ",".join(f"{each.name}={each.peer_url}" for each in present)
        member.state = "existing"
        member.spawn()
        return member

    def remove(self, member):
        via = next(each for each in self.running if each is not member)
        id = f"{self.id(member):x}"

        def removed():
            done = self._ctl([via], "member", "remove", id)
            assert done.returncode == 0 or b"unhealthy cluster" in done.stderr, done.stderr
            return done.returncode == 0

        poll(removed, SETTLE_SECONDS, "a member is removed", 0.5)
        self.members.remove(member)


def write(member, count, prefix=b"k"):
    """Puts over fifty keys, all of which are on their way at once: more at a time may last longer than a busy machine's members wait."""
    for first in range(0, count, 50):
        requests = [put_request(b"%s%d" % (prefix, n % 50), b"%-100d" % n) for n in range(first, min(first + 50, count))]
        for future in [member.client.start("KV/Put", request) for request in requests]:
            future.result()


class Load(threading.Thread):
    """Puts keys nobody wrote before through the members in turn, and remembers what was acknowledged. Nothing is sent twice."""

    def __init__(self, cluster, prefix):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.prefix = prefix
        self.acknowledged = {}
        self.unanswered = set()
        self.finished = threading.Event()

    def run(self):
        clients = {}
        count = 0
        while not self.finished.is_set():
            running = self.cluster.running
            if not running:
                continue
            member = running[count % len(running)]
            count += 1
            key = b"%s/%06d" % (self.prefix, count)
            value = b"%d" % random.randrange(1 << 30)
            client = clients.setdefault(member.endpoint, member.connect(8))
            try:
                reply = client.put(key, value)
                self.acknowledged[key] = (value, reply["header"]["revision"])
            except grpc.RpcError:
                self.unanswered.add(key)
        for client in clients.values():
            client.close()

    def stop(self):
        self.finished.set()
        self.join(30)
        return self

    def check(self, member):
        """Everything that was acknowledged is there, at its revision; nothing was written that was not sent."""
        kvs = member.client.range(*ALL_KEYS).get("kvs", [])
        found = {kv["key"]: (kv["value"], kv["mod_revision"], kv["version"]) for kv in kvs}
        for key, (value, revision) in self.acknowledged.items():
            assert found.get(key) == (value, revision, 1), (key, value, revision, found.get(key))
        for key in found:
            if key.startswith(self.prefix + b"/"):
                assert key in self.acknowledged or key in self.unanswered, key
