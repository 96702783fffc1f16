"""Remaining times of leases across elections in clusters of Quorate, and what real etcd gets to see of them."""

import time

import pytest

from harness import web
from harness.cluster import Cluster
from harness.daemon import etcd, poll, quorate
from harness.wal import checkpoints, remaining_times

TTL = 10
# Checkpoints begin after two fifths of the time granted.
FIRST_CHECKPOINT = 0.4 * TTL
LEASE = 7


def found(daemons, reference, word):
    return Cluster(daemons, [quorate() if each == "q" else etcd(reference) for each in word], reference).start()


def applied(member):
    """Checkpoints that a member has applied since its start."""
    samples = web.metrics(member.client_port)["etcd_server_apply_duration_seconds"][2]
    return sum(value for name, value in samples.items() if name.startswith("_count") and '"LeaseCheckpoint"' in name)


def remaining(member):
    return member.client.lease(LEASE).get("ttl", 0)


def grant(cluster):
    leader = cluster.leader()
    leader.client.grant(TTL, LEASE)
    leader.client.put(b"leased", b"1", lease=LEASE)
    return leader


def written(member, more_than=0):
    poll(lambda: applied(member) > more_than, 20, "a checkpoint is written", 0.1)


def test_leaders_that_are_killed_do_not_renew_leases(daemons, reference):
    cluster = found(daemons, reference, "qqq")
    leader = grant(cluster)
    began = time.monotonic()
    last = TTL
    for _ in range(2):
        # Two of them, for the first one that a new leader writes may be no more than the timeout that it added.
        written(leader, applied(leader) + 1)
        leader.kill()
        after = cluster.leader()
        # Its election timeout is added, and seconds are rounded.
        left = remaining(after)
        assert left <= last - 1, (left, last)
        last = left
        leader.start()
        leader = cluster.leader()
    poll(lambda: leader.client.get(b"leased") is None, 2 * TTL, "the lease ends", 0.1)
    assert time.monotonic() - began >= TTL - 1


def test_stops_one_after_the_other_keep_what_is_left(daemons, reference):
    """The leader's own stop, after which another one leads, and a follower's: neither gives the lease its whole time again."""
    cluster = found(daemons, reference, "qqq")
    leader = grant(cluster)
    began = time.monotonic()
    for stops_leader in (True, False):
        # Taken back by a stop, remaining times are written again once everybody has named itself.
        leader = cluster.leader()
        written(leader, applied(leader))
        member = next(each for each in cluster.members if (each is leader) == stops_leader)
        assert member.stop() == 0
        # Whoever takes the directory finds the whole time in the log.
        assert remaining_times(member.data_dir)[LEASE] == 0
        spent = time.monotonic() - began
        assert remaining(cluster.leader()) <= TTL - FIRST_CHECKPOINT + 2, spent
        member.start()


def test_beside_etcd_nothing_is_written(daemons, reference):
    cluster = found(daemons, reference, "qqe")
    cluster.lead(cluster[0])
    grant(cluster)
    time.sleep(FIRST_CHECKPOINT + 2)
    assert remaining(cluster[0]) < TTL - FIRST_CHECKPOINT
    cluster.lead(cluster[1])
    assert remaining(cluster[1]) >= TTL - 1
    for member in cluster.members:
        member.stop()
        assert checkpoints(member.data_dir) == []


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_etcd_in_a_members_place_finds_whole_times(daemons, reference, end):
    cluster = found(daemons, reference, "qqq")
    leader = grant(cluster)
    written(leader)
    handed = next(each for each in cluster.members if each is not leader)
    assert 0 < remaining_times(handed.data_dir)[LEASE] < TTL
    if end == "killed":
        handed.kill()
    else:
        assert handed.stop() == 0
        assert remaining_times(handed.data_dir)[LEASE] == 0
    handed.become(etcd(reference)).start()
    poll(lambda: remaining_times(handed.data_dir)[LEASE] == 0, 20, "remaining times are taken back", 0.1)
    cluster.lead(handed)
    assert remaining(handed) >= TTL - 1
    # Renewed on a Go member that misread a checkpoint it would get the stale remaining time.
    time.sleep(2)
    assert cluster.ctl("lease", "keep-alive", "--once", f"{LEASE:x}", member=handed)
    assert remaining(handed) >= TTL - 1
