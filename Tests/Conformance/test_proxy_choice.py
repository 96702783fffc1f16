"""Which members the proxy in http mode chooses: by how quickly they answer, by where they are, and by what is wrong with them."""

import collections
import contextlib

import pytest
from harness.client import Client, put_request
from harness.daemon import etcd, poll, quorate
from harness.protobuf import message
from harness.trio import Trio
from harness.upstreams import Slow

#: One event loop, so that one memory of latencies and one turn decide.
ALONE = ["--threads", "1", "--refresh-interval", "0"]


@pytest.fixture
def trio(daemons, reference):
    return Trio(daemons, etcd(reference))


def shares(proxy, requests, read):
    """How many of so many reads each endpoint answered."""
    before = proxy.answered()
    for _ in range(requests):
        read()

    def difference():
        return collections.Counter(proxy.answered()) - collections.Counter(before)

    poll(lambda: sum(difference().values()) == requests, 5, difference)
    return difference()


def test_a_slow_member_gets_less_to_do(trio, proxies):
    """40 ms on the way back from one of them; a policy that does not look at that is there for comparison."""
    slow = Slow(trio.members[0].client_port, 0.04)
    urls = [slow.url, *trio.urls[1:]]
    for policy, most in (("least-loaded", 15), ("round-robin", None)):
        proxy = proxies(urls, "--policy", policy, *ALONE, mode="http", folder=policy).start()
        proxy.wait_for_all()
        with Client(proxy.endpoint) as client:
            got = shares(proxy, 150, lambda: client.range(b"a", serializable=True))
        assert min(got[url] for url in urls[1:]) >= 45, (policy, got)
        assert got[slow.url] == 50 if most is None else got[slow.url] <= most, (policy, got)
        proxy.kill()


@pytest.mark.parametrize("pattern", ["localhost", "127.0.0.0/8"])
def test_near_members_come_first_and_the_others_when_there_is_none(trio, proxies, pattern, reference):
    """By name and by network."""
    etcd(reference).require_sound_kills()
    member = trio.members[1]
    # A name is in no network, and the address has no name: either way one of them matches.
    hosts = ["127.0.0.1", "localhost"] if pattern == "localhost" else ["localhost", "127.0.0.1"]
    urls = [f"http://{hosts[each is member]}:{each.client_port}" for each in trio.members]
    near = urls[1]
    proxy = proxies(urls, "--policy", "round-robin", "--prefer-endpoints", pattern, *ALONE, mode="http")
    proxy.start().wait_for_all()
    with Client(proxy.endpoint) as client, contextlib.ExitStack() as stack:
        read = lambda: client.range(b"a")  # noqa: E731
        assert shares(proxy, 12, read) == {near: 12}
        watch = stack.enter_context(client.watch(b"a"))
        assert next(watch)["created"]
        member.kill()
        # None of them fails, and they are spread over those that are left.
        for _ in range(12):
            read()
        poll(lambda: proxy.states()[near] == "down", 5, proxy.states)
        left = shares(proxy, 12, read)
        assert left == {url: 6 for url in (urls[0], urls[2])}, left
        poll(lambda: isinstance(client.outcome("KV/Put", put_request(b"a", b"1"), timeout=2), bytes), 15, "there is a leader")
        assert [event["kv"]["value"] for event in next(watch)["events"]] == [b"1"]
        member.spawn()
        poll(lambda: proxy.states()[near] == "serving", 20, proxy.states)
        assert shares(proxy, 12, read) == {near: 12}


@pytest.mark.parametrize("software", ["etcd", "quorate"])
def test_a_member_with_corrupt_data_is_left(daemons, proxies, reference, software):
    """The alarm is one member's: streams go elsewhere, nothing new comes to it, and the others go on."""
    trio = Trio(daemons, etcd(reference) if software == "etcd" else quorate())
    victim = trio.members[1]
    direct = trio.members[0].client
    victim_id = victim.client.status()["header"]["member_id"]
    proxy = proxies(trio.urls, "--policy", "round-robin", *ALONE, mode="http").start()
    proxy.wait_for_all()

    def alarm(action):
        return direct.call("Maintenance/Alarm", message((1, action), (2, victim_id), (3, 2)))

    with Client(proxy.endpoint) as client, contextlib.ExitStack() as stack:
        watches = [stack.enter_context(client.watch(b"a")) for _ in range(6)]
        for watch in watches:
            assert next(watch)["created"]
        assert proxy.in_flight()[victim.client_url] == 2
        alarm(1)
        poll(lambda: proxy.states()[victim.client_url] == "corrupt", 5, proxy.states)
        # The alarm is in everybody's status, and one member's.
        assert sorted(proxy.states().values()) == ["corrupt", "serving", "serving"]
        poll(lambda: proxy.in_flight() == {**dict.fromkeys(trio.urls, 3), victim.client_url: 0}, 5, proxy.in_flight)
        got = shares(proxy, 12, lambda: client.range(b"a"))
        assert got == {url: 6 for url in trio.urls if url != victim.client_url}, got
        alarm(2)
        poll(lambda: proxy.states()[victim.client_url] == "serving", 5, proxy.states)
        revision = client.put(b"a", b"1")["header"]["revision"]
        for watch in watches:
            assert [event["kv"]["mod_revision"] for event in next(watch)["events"]] == [revision]
        assert shares(proxy, 12, lambda: client.range(b"a"))[victim.client_url] == 4
