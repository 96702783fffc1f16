"""What the proxy makes of real members that are alive and yet not fit: learners, members without a leader, full ones, strangers."""

import json

from harness import web
from harness.client import ALL_KEYS, Client, put_request, range_request
from harness.daemon import etcd, poll
from harness.protobuf import message
from harness.trio import TIMING, Proxy, Trio


def endpoint(proxy, url):
    page = json.loads(web.request(proxy.pages, "/proxy/endpoints").text)
    return next((each for each in page["endpoints"] if each["endpoint"] == url), None)


def test_a_learner_gets_nothing_before_it_is_promoted(daemons, proxies, reference):
    leader = daemons(etcd(reference), "leader", name="leader").start()
    learner = daemons(etcd(reference), "learner", name="learner", flags=TIMING)
    leader.client.call("Cluster/MemberAdd", message((1, learner.peer_url), (2, True)))
    learner.initial_cluster = f"leader={leader.peer_url},learner={learner.peer_url}"
    learner.state = "existing"
    learner.spawn()
    # Before it serves nobody could tell it from a member that is down.
    poll(lambda: learner.client.outcome("Maintenance/Status", b"", timeout=1).__class__ is bytes, 20, learner.log_tail)
    proxy = proxies([leader.client_url, learner.client_url], "--policy", "round-robin", "--refresh-interval", "0", mode="http").start()
    poll(lambda: endpoint(proxy, learner.client_url)["state"] == "learner", 5, proxy.states)
    with Client(proxy.endpoint) as client:
        for number in range(6):
            # A learner refuses all of them.
            client.put(b"a", b"%d" % number)
            client.members()
        learner_id = next(each["id"] for each in leader.client.members() if each.get("name") == b"learner")
        promoted = lambda: isinstance(leader.client.outcome("Cluster/MemberPromote", message((1, learner_id))), bytes)  # noqa: E731
        poll(promoted, 20, "promoted")
        poll(lambda: endpoint(proxy, learner.client_url)["state"] == "serving", 5, proxy.states)


def test_members_of_another_cluster_are_not_forwarded_to(daemons, proxies, reference):
    ours, other = (daemons(etcd(reference), name, name=name).start() for name in ("ours", "other"))
    proxy = proxies([ours.client_url, other.client_url], "--policy", "round-robin", mode="http")
    cluster = ours.client.range(b"a")["header"]["cluster_id"]
    proxy.flags += ["--cluster-id", f"{cluster:x}"]
    proxy.start()
    poll(lambda: proxy.states() == {ours.client_url: "serving", other.client_url: "forbidden"}, 5, proxy.states)
    with Client(proxy.endpoint) as client:
        for number in range(6):
            client.put(b"a", b"%d" % number)
        assert other.client.get(b"a") is None
        ours.kill()
        # Not even when there is nobody else.
        poll(lambda: proxy.states()[ours.client_url] == "down", 5, proxy.states)
        assert client.outcome("KV/Range", range_request(b"a"), timeout=3).code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def test_a_member_without_leader_serves_what_it_can(daemons, proxies, reference):
    etcd(reference).require_sound_kills()
    trio = Trio(daemons, etcd(reference))
    trio.members[0].client.put(b"a", b"1")
    proxy = proxies(trio.urls, "--policy", "round-robin", "--connect-timeout", "300ms", mode="http").start()
    proxy.wait_for_all()
    with Client(proxy.endpoint) as client:
        assert client.outcome("grpc.health.v1.Health/Check", b"") == b"\x08\x01"
        for member in trio.members[:2]:
            member.kill()
        left = trio.urls[2]
        poll(lambda: endpoint(proxy, left)["state"] == "no-leader", 10, proxy.states)
        for _ in range(6):
            assert client.range(b"a", serializable=True)["kvs"][0]["value"] == b"1"
        assert not isinstance(client.outcome("KV/Put", put_request(b"a", b"2"), timeout=1), bytes)
        assert web.request(proxy.pages, "/health").status == 503
        trio.members[0].spawn()
        trio.members[0].wait_ready()
        poll(lambda: isinstance(client.outcome("KV/Put", put_request(b"a", b"3"), timeout=2), bytes), 10, proxy.states)


def test_a_full_member_is_shown_and_goes_on_reading(daemons, proxies, reference):
    member = daemons(etcd(reference), "member", flags=["--quota-backend-bytes", str(4 << 20)]).start()
    proxy = proxies([member.client_url], mode="http").start()
    with Client(proxy.endpoint) as client:
        for number in range(20):
            refused = client.outcome("KV/Put", put_request(b"a/%d" % number, bytes(1 << 20)))
            if not isinstance(refused, bytes):
                break
        # The member's own words.
        assert (refused.code, refused.text) == ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")
        poll(lambda: endpoint(proxy, member.client_url)["alarms"] == ["NOSPACE"], 5, lambda: endpoint(proxy, member.client_url))
        assert client.range(*ALL_KEYS, count_only=True)["count"] >= 1
        client.delete(b"a/", b"a0")
        client.compact(client.revision())
        client.call("Maintenance/Defragment", b"")
        client.call("Maintenance/Alarm", message((1, 2), (2, client.status()["header"]["member_id"]), (3, 1)))
        client.put(b"a", b"1")
        poll(lambda: endpoint(proxy, member.client_url)["alarms"] == [], 5, lambda: endpoint(proxy, member.client_url))


def test_the_last_good_list_outlives_restarts(daemons, reference, tmp_path):
    """A proxy that knows one member learns of the others, and starts without the one that it was told of."""
    etcd(reference).require_sound_kills()
    trio = Trio(daemons, etcd(reference))
    proxy = Proxy(tmp_path / "proxy", trio.urls[:1], ["--probe-interval", "300ms", "--refresh-interval", "500ms"])
    try:
        proxy.start().wait_for_all()
        proxy.kill()
        trio.members[0].kill()
        proxy.start().wait_for_all(2)
        # What cannot be read is not used, and nothing to fail for.
        proxy.kill()
        kept = [file for file in (tmp_path / "proxy" / "data").iterdir() if file.is_file()]
        assert len(kept) == 1, kept
        kept[0].write_bytes(b"\x00{" + kept[0].read_bytes())
        proxy.endpoints = trio.urls[1:2]
        proxy.start().wait_for_all(2)
        assert "the kept member list is not used" in proxy.log.read_text()
    finally:
        proxy.kill()
