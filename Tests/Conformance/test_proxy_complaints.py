"""What users of etcd's own proxies complained about, asked of this one. Where each complaint is tested is in proxy-complaints.md."""

import contextlib
import json
import os
import queue
import threading
import time

import grpc
import pytest
from harness import web
from harness.client import WATCH, Client, put_request
from harness.daemon import etcd, poll
from harness.protobuf import decode, embedded, message

TICKS = os.sysconf("SC_CLK_TCK")
ISSUED_PROGRESS = embedded(3, b"")


@pytest.fixture
def member(daemons, reference):
    return daemons(etcd(reference), "member").start()


@pytest.fixture
def proxy(member, proxies):
    return proxies([member.client_url], "--refresh-interval", "0", mode="http").start()


class Stream:
    """A stream of requests that the test writes one by one, and the answers as they come."""

    def __init__(self, client, method, names):
        self._requests, self._answers, self.error = queue.Queue(), queue.Queue(), None
        self._call = client._channel.stream_stream(f"/etcdserverpb.{method}")(iter(self._requests.get, None))
        self._thread = threading.Thread(target=self._read, args=(names,))
        self._thread.start()

    def _read(self, names):
        try:
            for part in self._call:
                self._answers.put(decode(part, names))
        except grpc.RpcError as error:
            self.error = error.code().name
        self._answers.put(None)

    def send(self, request):
        self._requests.put(request)

    def next(self, seconds=15):
        """The next answer, or None at the end."""
        return self._answers.get(timeout=seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._requests.put(None)
        self._call.cancel()
        self._thread.join(10)


def watch(client, key=b"a", **options):
    """A watch stream whose watch has been created."""
    numbers = {"watch_id": 7, "fragment": 8}
    stream = Stream(client, "Watch/Watch", WATCH)
    stream.send(embedded(1, message((1, key), *((numbers[name], value) for name, value in options.items()))))
    created = stream.next()
    assert created["created"] and created.get("watch_id", 0) == options.get("watch_id", 0), created
    return stream


def test_a_restarted_member_is_found_again_and_watches_go_on(member, proxy):
    """9988, 12892, 18231: watches that stop after the member was away, new ones that miss everything, a proxy that has given up for ever."""
    with Client(proxy.endpoint) as client:
        with watch(client) as old:
            member.stop()
            with Client(proxy.endpoint, timeout=1) as other:
                assert other.outcome("KV/Range", b"\x0a\x01a").code == "UNAVAILABLE"
            member.start()
            poll(lambda: isinstance(client.outcome("KV/Range", b"\x0a\x01a"), bytes), 15, "reads come through again")
            with watch(client) as new:
                revision = client.put(b"a", b"1")["header"]["revision"]
                for stream in (old, new):
                    assert [event["kv"]["mod_revision"] for event in stream.next()["events"]] == [revision]
        lease = client.grant(30)
        with Stream(client, "Lease/LeaseKeepAlive", {2: "id", 3: "ttl"}) as keepers:
            keepers.send(message((1, lease)))
            assert keepers.next() == {"id": lease, "ttl": 30}


def test_a_proxy_that_is_there_before_its_members_serves_when_they_come(daemons, proxies, reference):
    """19562: a proxy that never got beyond its start."""
    member = daemons(etcd(reference), "late")
    proxy = proxies([member.client_url], mode="http")
    proxy.start_without_waiting()
    poll(lambda: answers(proxy) and proxy.states() == {member.client_url: "down"}, 10, proxy.log_tail)
    with Client(proxy.endpoint) as client:
        refused = client.outcome("KV/Range", b"\x0a\x01a", timeout=1)
        assert refused.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
        member.start()
        poll(lambda: put_if_possible(client), 15, proxy.states)
        with watch(client) as stream:
            revision = client.put(b"a", b"2")["header"]["revision"]
            assert [event["kv"]["mod_revision"] for event in stream.next()["events"]] == [revision]


def answers(proxy):
    try:
        return web.request(proxy.pages, "/livez").status == 200
    except OSError:
        return False


def put_if_possible(client):
    return isinstance(client.outcome("KV/Put", put_request(b"a", b"1")), bytes)


def test_a_proxy_without_members_waits_and_does_not_spin(member, proxy):
    """19562: an endless loop over a watch whose member is gone."""

    def processor_seconds():
        with open(f"/proc/{proxy.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    with Client(proxy.endpoint) as client, watch(client):
        member.kill()
        poll(lambda: "down" in proxy.states().values(), 10, proxy.states)
        before = processor_seconds()
        time.sleep(1.5)
        assert processor_seconds() - before < 0.4


def test_a_lease_lives_no_longer_than_its_client_renews_it(member, proxy):
    """13031, 9751: the proxy renewed leases on its own, up to twice the time to live; one keep-alive was not one."""
    with Client(proxy.endpoint) as client:
        lease = client.grant(2)
        client.put(b"leased", b"1", lease)
        with Stream(client, "Lease/LeaseKeepAlive", {2: "id", 3: "ttl"}) as keepers:
            keepers.send(message((1, lease)))
            assert keepers.next() == {"id": lease, "ttl": 2}
            renewed = time.monotonic()
            # The stream stays open, and nothing more is sent on it.
            poll(lambda: member.client.get(b"leased") is None, 10, "the lease ends")
            ended = time.monotonic()
        # Twice the time to live would be 4 s; a member takes up to a second more than it says.
        assert 1.9 < ended - renewed < 3.9


def test_members_are_listed_as_they_are(member, proxy):
    """17887: etcd's proxy answers with itself."""
    with Client(proxy.endpoint) as client:
        assert client.members() == member.client.members()
        assert client.range(b"a")["header"].keys() == member.client.range(b"a")["header"].keys()


def test_serializable_reads_are_never_from_a_cache(member, proxy):
    """etcd's proxy answers them from what it saw at the last read, however old that is, and whoever read it."""
    with Client(proxy.endpoint) as client:
        for number in range(5):
            # Past the proxy, which therefore knows nothing of it.
            member.client.put(b"a", b"%d" % number)
            assert client.range(b"a", serializable=True)["kvs"][0]["value"] == b"%d" % number


def test_watch_requests_mean_what_they_say(member, proxy):
    """etcd's proxy chooses ids itself, knows no progress requests, and makes up headers without ids."""
    with Client(proxy.endpoint) as client, watch(client, watch_id=7, fragment=True) as stream:
        revision = client.put(b"a", b"1")["header"]["revision"]
        told = stream.next()
        assert told["watch_id"] == 7 and told["events"][0]["kv"]["mod_revision"] == revision
        assert told["header"]["cluster_id"] and told["header"]["member_id"]
        stream.send(ISSUED_PROGRESS)
        progress = stream.next()
        assert progress["header"]["revision"] == revision and "events" not in progress


def test_a_watcher_that_does_not_read_loses_nothing(member, proxy):
    """etcd's proxy ends the stream of one that does not take a response within 50 ms."""
    end = threading.Event()

    def requests():
        yield embedded(1, message((1, b"a")))
        end.wait(60)

    with Client(proxy.endpoint) as client, Client(proxy.endpoint) as writer:
        call = client._channel.stream_stream("/etcdserverpb.Watch/Watch")(requests(), timeout=60)
        assert decode(next(call), WATCH)["created"]
        # More than all windows and buffers on the way hold, and much longer than 50 ms.
        revisions = [writer.put(b"a", b"v" * 100_000)["header"]["revision"] for _ in range(150)]
        seen = []
        while len(seen) < len(revisions):
            seen += [event["kv"]["mod_revision"] for event in decode(next(call), WATCH)["events"]]
        assert seen == revisions
        end.set()
        call.cancel()


def test_clients_that_come_and_go_leave_nothing_behind(member, proxy):
    """2884, 2825, 3007: ports used up, memory lost, a crash when a request's body was closed."""

    def descriptors():
        return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))

    before = descriptors()
    body = json.dumps({"key": "YQ==", "value": "Yg=="})
    for number in range(150):
        assert web.request(proxy.port, "/v3/kv/put", "POST", body).status == 200
        # Half a request, and gone.
        with contextlib.suppress(OSError):
            web.raw(proxy.port, b"POST /v3/kv/put HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{", timeout=0.01)
        if number % 10 == 0:
            with Client(proxy.endpoint) as client:
                client.put(b"a", b"1")
    # A connection or two to the member are kept.
    poll(lambda: descriptors() <= before + 4, 10, lambda: f"{descriptors()} descriptors, {before} before")
    assert len(connections_of(member)) <= 10


def connections_of(member):
    with open("/proc/net/tcp") as table:
        return [line for line in table if line.split()[1].endswith(f":{member.client_port:04X}") and line.split()[3] == "01"]
