"""Authentication in a mixed cluster: until it is enforced Quorate serves no client while it is on, and stays a good member."""

import json

import grpc
import pytest

from harness import web
from harness.cluster import SETTLE_SECONDS, Cluster
from harness.daemon import etcd, poll, quorate

ROOT = ["--user", "root:secret"]


@pytest.fixture
def cluster(daemons, reference):
    return Cluster(daemons, [etcd(reference), quorate(), etcd(reference)], reference).start()


def health(member):
    reply = web.request(member.client_port, "/health")
    return reply.status, json.loads(reply.body)["reason"]


def leads(member):
    """Asked where no user is needed."""
    return "\netcd_server_is_leader 1\n" in web.request(member.client_port, "/metrics").text


def test_serves_nobody_while_enabled_and_everybody_after(cluster):
    go, ours, other = cluster.members
    ours.client.put(b"before", b"1")
    for words in (
        ["user", "add", "root:secret"], ["user", "grant-role", "root", "root"], ["user", "add", "alice:secret"],
        ["role", "add", "writer"], ["role", "grant-permission", "writer", "readwrite", "a/", "a0"],
        ["user", "grant-role", "alice", "writer"],
    ):  # fmt: skip
        cluster.ctl(*words, member=go)
    with ours.client.watch(b"a/", b"a0") as responses:
        assert next(responses)["created"]
        cluster.ctl("auth", "enable", member=go)
        with pytest.raises(grpc.RpcError) as ended:
            next(responses)
        assert "authentication is enabled" in ended.value.details()
    poll(lambda: health(ours)[0] == 503, SETTLE_SECONDS, "health says that nobody is served")
    assert "authentication is enabled" in health(ours)[1]
    assert web.request(ours.client_port, "/readyz").status == 503 and web.request(ours.client_port, "/livez").status == 200
    for call in (lambda: ours.client.range(b"before"), lambda: ours.client.put(b"a/x", b"1")):
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert "authentication is enabled" in refused.value.details()
    alice = ["--user", "alice:secret"]
    # It leads all the same, ends leases, and decides like the others what users may do.
    if not leads(ours):
        cluster.ctl("move-leader", f"{cluster.id(ours):x}", *ROOT, member=go if leads(go) else other)
        poll(lambda: leads(ours), SETTLE_SECONDS, "ours leads")
        poll(lambda: cluster.tries("get", "a/1", *ROOT, member=go), SETTLE_SECONDS, "the others know it")
    lease = cluster.ctl("lease", "grant", "2", *ROOT, member=go).split()[1]
    cluster.ctl("put", "a/leased", "1", "--lease", lease, *ROOT, member=go)
    cluster.ctl("put", "a/1", "1", *alice, member=go)
    assert "permission denied" in cluster.ctl("put", "b/1", "1", *alice, member=other, fails=True)
    cluster.ctl("put", "b/2", "2", *ROOT, member=other)
    ours.stop()
    # Until both know who leads now, etcd may answer that the leader has changed.
    poll(lambda: cluster.tries("put", "a/2", "2", *alice, member=go), SETTLE_SECONDS, "another member leads")
    ours.spawn()
    poll(lambda: cluster.is_serving(ours), SETTLE_SECONDS, "ours is there again")
    assert "authentication is enabled" in ours.log_text()
    poll(lambda: cluster.ctl("get", "a/leased", *ROOT, member=go) == "", SETTLE_SECONDS, "the lease has ended")
    cluster.ctl("auth", "disable", *ROOT, member=go)
    poll(lambda: health(ours) == (200, ""), SETTLE_SECONDS, "ours serves again")
    assert ours.client.range(b"a/2")["kvs"][0]["value"] == b"2"
    assert "kvs" not in ours.client.range(b"b/1")
    ours.client.put(b"after", b"1")
    cluster.settle()
    # The directory is etcd's again, users and all.
    ours.become(etcd(cluster.release)).start()
    assert cluster.ctl("user", "list", member=ours) == cluster.ctl("user", "list", member=go) == "alice\nroot\n"
    cluster.ctl("auth", "enable", member=ours)
    assert cluster.ctl("get", "a/2", *alice, member=ours) == "a/2\n2\n"
