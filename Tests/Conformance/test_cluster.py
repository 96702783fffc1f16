"""Clusters of several members: of Quorate alone, and mixed with real etcd."""

import json
import signal
import time

import pytest

from harness import releases
from harness.client import Client
from harness.cluster import Cluster, Load, write
from harness.daemon import etcd, poll, quorate

# Snapshots soon, and few entries for those that are behind.
OFTEN = ["--snapshot-count", "500", "--experimental-snapshot-catchup-entries", "50"]
REMOVED = 76
CORRUPT = 65


@pytest.fixture
def found(daemons, reference):
    """Founds a cluster: found(software, software, ..., flags=[])."""

    def make(*softwares, flags=()):
        return Cluster(daemons, softwares, reference, flags).start()

    return make


def test_three_members_elect_replicate_and_survive_the_leader(found):
    cluster = found(quorate(), quorate(), quorate())
    ids = {line.split(", ")[2]: int(line.split(", ")[0], 16) for line in cluster.member_lists()}
    assert {member.name: cluster.id(member) for member in cluster.members} == ids
    leader = cluster.leader()
    for each in cluster.members:
        cluster.ctl("put", f"key-{each.name}", each.name, member=each)
    for each in cluster.members:
        assert cluster.ctl("get", "key-", "--prefix", "--print-value-only", member=each).split() == ["m1", "m2", "m3"]
    load = Load(cluster, b"load")
    load.start()
    poll(lambda: len(load.acknowledged) > 50, 20, "the load runs")
    leader.process.send_signal(signal.SIGKILL)
    leader.process.wait(10)
    before = len(load.acknowledged)
    poll(lambda: len(load.acknowledged) > before + 50, 30, "writes go on without the leader")
    assert cluster.leader() is not leader
    leader.start()
    load.stop()
    for each in cluster.settle().members:
        load.check(each)


def test_a_stopping_leader_hands_over_first(found):
    cluster = found(quorate(), quorate(), quorate())
    leader = cluster.leader()
    other = next(each for each in cluster.members if each is not leader)
    term = cluster._status(other)["raftTerm"]
    assert leader.stop() == 0
    # No election timeout passed: the next term began at once.
    successor = cluster.leader()
    assert successor is not leader and cluster._status(successor)["raftTerm"] == term + 1
    leader.start()
    cluster.settle()


def test_three_members_that_stop_at_once(found):
    """The leader does not wait for those that stop as well."""
    cluster = found(quorate(), quorate(), quorate())
    cluster.settle()
    began = time.monotonic()
    for each in cluster.members:
        each.process.send_signal(signal.SIGTERM)
    assert [each.wait_exit(20) for each in cluster.members] == [0, 0, 0]
    # It gave each of them an election timeout at most; a request would be given six seconds.
    assert time.monotonic() - began < 4


def test_leases_live_through_followers_and_elections(found):
    cluster = found(quorate(), quorate(), quorate())
    lease = cluster[0].client.grant(60)
    cluster[1].client.put(b"leased", b"1", lease)
    for each in cluster.members:
        assert "keepalived with TTL(60)" in cluster.ctl("lease", "keep-alive", "--once", f"{lease:x}", member=each)
        answer = each.client.lease(lease)
        assert answer["granted_ttl"] == 60 and 50 <= answer["ttl"] <= 60
        assert "already expired" in cluster.ctl("lease", "timetolive", "123456", member=each)
    cluster.leader().stop()
    survivor = cluster.leader()
    assert "keepalived" in cluster.ctl("lease", "keep-alive", "--once", f"{lease:x}", member=survivor)
    cluster.ctl("lease", "revoke", f"{lease:x}", member=cluster.running[-1])
    assert all(each.client.get(b"leased") is None for each in cluster.running)


def test_membership_as_operators_change_it(found):
    cluster = found(quorate())
    write(cluster[0], 300)
    learner = cluster.add(quorate(), learner=True)
    refusal = cluster.ctl("get", "k1", member=learner, fails=True)
    assert "rpc not supported for learner" in refusal
    # Refused until the learner has caught up.
    poll(lambda: cluster.tries("member", "promote", f"{cluster.id(learner):x}", member=cluster[0]), 20, "promoted")
    third = cluster.add(quorate())
    third.wait_ready()
    assert [line.split(", ")[1] for line in cluster.settle().member_lists()] == ["started"] * 3
    url = "http://127.0.0.1:1"
    follower = next(each for each in cluster.members if each is not cluster.leader())
    cluster.ctl("member", "update", f"{cluster.id(follower):x}", f"--peer-urls={url}")
    assert any(url in line for line in cluster.member_lists())
    cluster.ctl("member", "update", f"{cluster.id(follower):x}", f"--peer-urls={follower.peer_url}")
    # The leader goes: another one takes over, and it ends by itself with an exit status of its own.
    leader = cluster.leader()
    cluster.remove(leader)
    assert leader.wait_exit(20) == REMOVED
    assert "the member has been permanently removed from the cluster" in leader.log_text()
    cluster.settle()
    assert len(cluster.member_lists()) == 2
    # Started again it is told by the others.
    leader.spawn()
    assert leader.wait_exit(20) == REMOVED


def test_a_follower_left_behind_gets_a_snapshot(found):
    cluster = found(quorate(), quorate(), quorate(), flags=OFTEN)
    follower = cluster[2]
    cluster.leave_behind(follower, cluster[0])
    # What it received serves after a restart, too.
    follower.stop()
    follower.start()
    write(follower, 100)
    cluster.settle()


def test_mixed_with_etcd_snapshots_in_both_directions(found, reference):
    cluster = found(etcd(reference), etcd(reference), quorate(), flags=OFTEN)
    go, ours = cluster[0], cluster[2]
    cluster.leave_behind(ours, go)
    cluster.leave_behind(go, ours)
    learner = cluster.add(quorate(), learner=True)
    poll(lambda: "learner" in learner.log_text() or cluster.id(learner), 10, "the learner runs")
    cluster.ctl("member", "promote", f"{cluster.id(learner):x}", member=go)
    learner.wait_ready()
    cluster.settle()
    cluster.remove(learner)
    assert learner.wait_exit(20) == REMOVED
    for each in cluster.members[:2]:
        each.stop()
        each.start()
    cluster.settle()
    assert len(cluster.member_lists()) == 3


def test_rolling_replacement_there_and_back(found, reference):
    cluster = found(etcd(reference), etcd(reference), etcd(reference), flags=OFTEN)
    load = Load(cluster, b"load")
    load.start()
    reader = Client(cluster[0].endpoint)
    for software in (quorate(), etcd(reference)):
        for each in cluster.members:
            each.become(software).start()
            before = len(load.acknowledged)
            poll(lambda before=before: len(load.acknowledged) > before + 30, 30, "writes go on")
    reader.close()
    load.stop()
    for each in cluster.settle().members:
        load.check(each)
    assert len(cluster.member_lists()) == 3


def test_clean_start_with_etcd_3_5_1(found, reference):
    old = releases.exact("3.5.1")
    if old is None or releases.line != "3.5":
        pytest.skip("etcd 3.5.1 is not there, or not to be compared with")
    cluster = found(etcd(old), quorate(), etcd(reference))
    write(cluster[1], 200)
    cluster.settle()
    assert json.loads(cluster.ctl("endpoint", "status", "-w", "json", member=cluster[1]))[0]["Status"]["version"]
    assert len(cluster.member_lists()) == 3


def test_one_member_is_made_a_cluster_of_its_own(found):
    cluster = found(quorate(), quorate(), quorate())
    write(cluster[0], 200)
    cluster.settle()
    for each in cluster.members:
        each.kill()
    survivor = cluster[1]
    survivor.flags.append("--force-new-cluster")
    survivor.start()
    assert len(cluster.member_lists()) == 1
    write(survivor, 100)
    survivor.stop()
    survivor.flags.remove("--force-new-cluster")
    survivor.start()
    assert len(cluster.member_lists()) == 1 and survivor.client.get(b"k1").strip() == b"51"
    cluster.add(quorate()).wait_ready()
    cluster.settle()
    # etcd opens what came of it.
    survivor.stop()
    survivor.become(etcd(cluster.release)).start()
    assert len(cluster.settle().member_lists()) == 2


def test_corrupt_data_is_found_at_boot(found, reference):
    check = ["--experimental-initial-corrupt-check=true"]
    cluster = found(etcd(reference), etcd(reference), quorate(), flags=check)
    cluster[0].client.put(b"victim", b"right value")
    cluster.settle()
    for each in cluster.members:
        each.stop()
        each.start()
        assert "initial corruption checking passed; no corruption" in each.log_text()
    ours = cluster.settle()[2]
    ours.stop()
    file = ours.data_dir / "member" / "snap" / "db"
    content = file.read_bytes()
    assert b"right value" in content
    file.write_bytes(content.replace(b"right value", b"wrong value"))
    ours.spawn()
    assert ours.wait_exit(20) == CORRUPT
    assert "found data inconsistency with peers" in ours.log_text()
