"""Clients of the proxy while the members behind it are killed, hung and replaced."""

import contextlib
import signal
import threading
import time

import grpc
import pytest
from harness.client import WATCH, Client, put_request, range_request
from harness.daemon import etcd, free_ports, poll, quorate
from harness.goaway import Dismissing
from harness.relay import Network
from harness.protobuf import decode, embedded, message
from harness.trio import Proxy, Trio

KEEPALIVE = {1: "header", 2: "id", 3: "ttl"}
PREFIX, PREFIX_END = b"load/", b"load0"


@pytest.fixture
def network():
    network = Network()
    yield network
    network.stop()


@pytest.fixture
def trio(request, daemons, reference):
    software, fault = etcd(reference) if request.param == "etcd" else quorate(), request.node.callspec.params.get("fault")
    if fault == "killed":
        software.require_sound_kills()
    # Relays stand in the way only where something is to be cut: a connection to a dead member is refused otherwise.
    return Trio(daemons, software, request.getfixturevalue("network") if fault == "cut off" else None)


WITH_ETCD_AND_QUORATE = pytest.mark.parametrize("trio", ["etcd", "quorate"], indirect=True)


@pytest.fixture
def proxy(trio, tmp_path):
    flags = ["--probe-interval", "500ms", "--probe-timeout", "500ms", "--refresh-interval", "1s"]
    proxy = Proxy(tmp_path / "proxy", trio.urls, flags).start().wait_for_all()
    yield proxy
    proxy.kill()


@pytest.fixture
def load():
    """Starts the load on an endpoint; what still runs at the end of a test that failed ends with it."""
    made = []

    def start(endpoint):
        made.append(Load(endpoint))
        made[-1].begin()
        return made[-1]

    yield start
    for each in made:
        each.give_up()


class Load:
    """Reads, writes, watches and keep-alives through the proxy, each on a thread of its own, until `stop`."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.finished, self.watches_end, self.lease_is_checked = threading.Event(), threading.Event(), threading.Event()
        self.failed_reads, self.failed_writes = [], []
        self.reads = self.writes = self.renewals = 0
        self.acknowledged = {}
        self.lease_end = self.watch_end = None
        self.shortest_ttl = None
        #: Per watch: revisions of its events in the order they came.
        self.events = []
        self.threads = [self._thread(self._read, each) for each in (False, True, False)]
        self.writers = [self._thread(self._write, number) for number in range(2)]
        self.threads += self.writers
        self.keeper = self._thread(self._keep_alive)
        self._calls = []

    @staticmethod
    def _thread(body, *arguments):
        return threading.Thread(target=body, args=arguments, daemon=True)

    @contextlib.contextmanager
    def _client(self):
        """Connected already: on a machine that is busy a first attempt may take longer than gRPC waits, and calls would fail by that."""
        with Client(self.endpoint, timeout=12) as client:
            grpc.channel_ready_future(client._channel).result(60)
            yield client

    def begin(self):
        with self._client() as client:
            self.lease = client.grant(4)
            self.first_revision = client.put(PREFIX + b"first", b"0")["header"]["revision"]
        created = []
        for start in (0, 0, self.first_revision):
            seen, ready = [], threading.Event()
            self.events.append(seen)
            created.append(ready)
            self.threads.append(self._thread(self._watch, start, seen, ready))
        for thread in [*self.threads, self.keeper]:
            thread.start()
        for ready in created:
            assert ready.wait(60), self.watch_end

    def give_up(self):
        for event in (self.finished, self.watches_end, self.lease_is_checked):
            event.set()
        for call in self._calls:
            call.cancel()

    def _read(self, serializable):
        with self._client() as client:
            while not self.finished.is_set():
                try:
                    client.range(PREFIX + b"first", serializable=serializable)
                    self.reads += 1
                except grpc.RpcError as error:
                    self.failed_reads.append((time.monotonic(), error.code().name, error.details()))
                time.sleep(0.002)

    def _write(self, number):
        with self._client() as client:
            while not self.finished.is_set():
                key, value = PREFIX + b"%d" % number, b"%d" % self.writes
                try:
                    revision = decode(client.call("KV/Put", put_request(key, value)), {1: ("header", {3: "revision"})})
                    self.acknowledged[revision["header"]["revision"]] = (key, value)
                    self.writes += 1
                except grpc.RpcError as error:
                    self.failed_writes.append((time.monotonic(), error.code().name, error.details()))
                time.sleep(0.005)

    def _watch(self, start, seen, ready):
        create = embedded(1, message((1, PREFIX), (2, PREFIX_END), (3, start)))

        def requests():
            yield create
            self.watches_end.wait(300)

        with self._client() as client:
            call = client._channel.stream_stream("/etcdserverpb.Watch/Watch")(requests())
            self._calls.append(call)
            try:
                for part in call:
                    response = decode(part, WATCH)
                    if response.get("created"):
                        ready.set()
                    if response.get("canceled"):
                        self.watch_end = response
                    seen.extend(event["kv"]["mod_revision"] for event in response.get("events", []))
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.CANCELLED:
                    self.watch_end = (error.code().name, error.details())

    def _keep_alive(self):
        def requests():
            while not self.lease_is_checked.is_set():
                yield message((1, self.lease))
                self.lease_is_checked.wait(0.5)

        with self._client() as client:
            call = client._channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive")(requests())
            try:
                for part in call:
                    ttl = decode(part, KEEPALIVE).get("ttl", 0)
                    self.renewals += 1
                    self.shortest_ttl = ttl if self.shortest_ttl is None else min(ttl, self.shortest_ttl)
            except grpc.RpcError as error:
                self.lease_end = (error.code().name, error.details())

    def stop(self):
        """Ends the load, once the watches have been told of all that was acknowledged, or have had time enough for it."""
        self.finished.set()
        for thread in self.writers:
            thread.join(30)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and not all(seen and seen[-1] >= max(self.acknowledged) for seen in self.events):
            time.sleep(0.02)
        self.watches_end.set()
        for call in self._calls:
            call.cancel()
        for thread in self.threads:
            thread.join(30)
        return self

    def remaining_ttl(self, direct):
        """What the cluster says of the lease while it is still kept alive: waiting for the other threads may take longer than it lives."""
        try:
            return direct.lease(self.lease).get("ttl", -1)
        finally:
            self.lease_is_checked.set()
            self.keeper.join(30)

    def check(self, direct, faults):
        """Nothing but writes in flight was answered with an error, and everything else is complete and in order."""
        remaining = self.remaining_ttl(direct)
        assert self.failed_reads == []
        assert self.lease_end is None and self.shortest_ttl == 4 and remaining > 0
        assert self.watch_end is None
        # What the members themselves answered while they had no leader is theirs: a slow machine elects slowly. One that is removed says
        # "raft: stopped", for which etcd has no code.
        in_doubt = [failure for failure in self.failed_writes if not failure[2].startswith(("etcdserver: ", "raft: stopped"))]
        assert len(in_doubt) <= 2 * faults, self.failed_writes
        assert {code for _, code, _ in in_doubt} <= {"UNAVAILABLE"}, self.failed_writes
        history = [event[3] for event in direct.history(self.first_revision, direct.revision()) if event[1].startswith(PREFIX)]
        assert set(self.acknowledged) <= set(history)
        for seen in self.events:
            assert seen == sorted(set(seen)), "events came twice or out of order"
            assert seen[-1] >= max(self.acknowledged)
            assert seen == [revision for revision in history if seen[0] <= revision <= seen[-1]], "events are missing"
        assert min(self.reads, self.writes, self.renewals) > 10


# MARK: What happens to members: breaks one, and mends it in the end. The network is there where something is to be cut.


@contextlib.contextmanager
def killed(trio, member, network):
    member.kill()
    yield
    member.spawn()


@contextlib.contextmanager
def hung(trio, member, network):
    member.process.send_signal(signal.SIGSTOP)
    yield
    member.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def cut_off(trio, member, network):
    """From clients and from the other members, without a word on any connection."""
    network.cut_off(member)
    # Its own port is no part of the network: what it says there shows that it hears nothing of the others.
    assert not isinstance(member.client.outcome("KV/Range", range_request(b"a"), timeout=1), bytes)
    yield
    network.heal()


@contextlib.contextmanager
def stopped(trio, member, network):
    """In good order: it says GOAWAY, finishes what it has begun and ends its streams."""
    member.stop()
    yield
    member.spawn()


@contextlib.contextmanager
def replaced(trio, member, network):
    """By a new one with an empty directory and other ports."""
    trio.replace(member)
    yield


@contextlib.contextmanager
def moved(trio, member, network):
    """The same one comes back under another address."""
    member.stop()
    yield
    (member.client_port,) = free_ports(1)
    member.spawn()


FAULTS = {"killed": killed, "hung": hung, "cut off": cut_off, "stopped": stopped, "replaced": replaced, "moved": moved}


def one_after_another(trio, proxy, fault, network=None):
    """Each member of the trio is broken once, for longer than the proxy takes to see it, and mended before the next one is."""
    for member in list(trio.members):
        time.sleep(1)
        with fault(trio, member, network):
            url = member.advertised_client_url
            poll(lambda: proxy.states().get(url) != "serving", 10, proxy.states)  # noqa: B023
            time.sleep(1)
        proxy.wait_for_all()


@WITH_ETCD_AND_QUORATE
@pytest.mark.parametrize("fault", FAULTS)
def test_clients_do_not_notice_what_happens_to_members(request, trio, proxy, load, fault):
    running, first = load(proxy.endpoint), set(trio.urls)
    one_after_another(trio, proxy, FAULTS[fault], request.getfixturevalue("network") if fault == "cut off" else None)
    running.stop().check(trio.members[0].client, faults=3)
    if not first & set(trio.urls):
        # Where nobody is left at any address that it was told of, it finds them by what it has kept.
        proxy.kill()
        proxy.start().wait_for_all()


@WITH_ETCD_AND_QUORATE
def test_members_say_goaway_again_and_again(trio, tmp_path, load):
    """In the middle of everything, and with requests on their way: those are nobody's, and go to somebody else, writes as well."""
    relays = [Dismissing(member.client_port) for member in trio.members]
    flags = ["--probe-interval", "500ms", "--refresh-interval", "0", "--mode", "http"]
    proxy = Proxy(tmp_path / "proxy", [relay.url for relay in relays], flags)
    try:
        proxy.start().wait_for_all()
        running = load(proxy.endpoint)
        for turn in range(40):
            time.sleep(0.15)
            relays[turn % 3].dismiss()
        running.stop().check(trio.members[0].client, faults=0)
        assert running.failed_writes == []
        assert sum(relay.dismissed for relay in relays) >= 40
    finally:
        proxy.kill()
        for relay in relays:
            relay.close()


@WITH_ETCD_AND_QUORATE
def test_replies_as_long_as_are_held_survive_kills(trio, proxy):
    """The limit is 1 MiB, prefix and all: members die in the middle of such replies and their clients do not notice."""
    trio.software.require_sound_kills()
    value = bytes(range(256)) * 4095
    trio.members[0].client.put(b"long", value)
    finished, failures, reads = threading.Event(), [], [0, 0, 0, 0]

    def read(number):
        with Client(proxy.endpoint, timeout=15) as client:
            grpc.channel_ready_future(client._channel).result(60)
            while not finished.is_set():
                outcome = client.outcome("KV/Range", range_request(b"long", serializable=number % 2 == 0))
                if not isinstance(outcome, bytes):
                    failures.append((outcome.code, outcome.text))
                elif not (value in outcome and len(outcome) <= 1 << 20):
                    failures.append(("a reply was cut", len(outcome)))
                reads[number] += 1

    threads = [threading.Thread(target=read, args=(number,)) for number in range(len(reads))]
    for thread in threads:
        thread.start()
    try:
        one_after_another(trio, proxy, killed)
    finally:
        finished.set()
        for thread in threads:
            thread.join(30)
    assert failures == [] and min(reads) > 10, (failures, reads)
