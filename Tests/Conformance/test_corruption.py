"""One member holds other data than the rest: who notices, what is refused, who is accused."""

import json

import grpc
import pytest

from harness import web
from harness.cluster import Cluster
from harness.daemon import etcd, poll, quorate

CORRUPT, REMOVED = 65, 76
SECONDS = 20
NO_BOOT_CHECK = "--experimental-initial-corrupt-check=false"
AT_COMPACTION = "--experimental-compact-hash-check-enabled=true"
EVERY_SECOND = "--experimental-compact-hash-check-time=1s"
SCANS = "--experimental-corrupt-check-time=1s"


@pytest.fixture
def found(daemons, reference):
    """Founds a cluster from a word: "qqe" is two of Quorate and one of real etcd."""

    def make(word, *flags):
        softwares = [quorate() if each == "q" else etcd(reference) for each in word]
        return Cluster(daemons, softwares, reference, flags).start()

    return make


def alter(member):
    """Changes a value in a stopped member's page file, which has no checksums of its pages."""
    file = member.data_dir / "member" / "snap" / "db"
    content = file.read_bytes()
    assert b"right value" in content
    file.write_bytes(content.replace(b"right value", b"wrong value"))


def write(cluster):
    cluster[0].client.put(b"victim", b"right value")
    for number in range(30):
        cluster[0].client.put(b"k%d" % (number % 5), b"%d" % number)
    cluster[0].client.delete(b"k1")
    cluster.settle()


def damage(cluster, member):
    member.stop()
    alter(member)
    member.start()
    poll(lambda: cluster.leader(), SECONDS, "there is a leader again")


def refusal(call):
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code(), error.value.details()


def health(member):
    reply = web.request(member.client_port, "/health")
    return reply.status, json.loads(reply.text)


REFUSED = (grpc.StatusCode.DATA_LOSS, "etcdserver: corrupt cluster")


@pytest.mark.parametrize("victim", ["follower", "leader"])
def test_the_minority_is_accused_at_the_next_compaction(found, victim):
    cluster = found("qqq", NO_BOOT_CHECK, EVERY_SECOND)
    write(cluster)
    leader = cluster.leader()
    member = next(each for each in cluster.members if (each is leader) == (victim == "leader"))
    id = cluster.id(member)
    damage(cluster, member)
    if victim == "leader":
        cluster.lead(member)
    assert member.client.get(b"victim") == b"wrong value"
    cluster[0].client.compact(cluster[0].client.revision() - 3)
    poll(lambda: all(each.client.status().get("errors") for each in cluster.members), SECONDS, "the alarm is raised")
    assert cluster.ctl("alarm", "list") == f"memberID:{id} alarm:CORRUPT \n"
    poll(lambda: cluster.leader() is not member, SECONDS, "what is corrupt does not lead")
    for each in cluster.members:
        assert health(each) == (503, {"health": "false", "reason": "ALARM CORRUPT"})
        assert "[-]data_corruption failed: alarm activated: CORRUPT" in web.request(each.client_port, "/readyz").text
        assert refusal(lambda: each.client.put(b"a", b"b")) == REFUSED
        assert refusal(lambda: each.client.compact(20)) == REFUSED
        assert refusal(lambda: each.client.grant(10)) == REFUSED
        assert len(each.client.members()) == 3
        # As with etcd reads go on, but for those of data that is known to be wrong.
        if each is member:
            assert refusal(lambda: each.client.get(b"victim")) == REFUSED
        else:
            assert each.client.get(b"victim") == b"right value"
    assert '"alarm raised"' in cluster.leader().log_text() and "found a member with other data" in "".join(
        each.log_text() for each in cluster.members
    )
    # Replaced by a new one it is gone for good.
    cluster.remove(member)
    assert member.wait_exit(SECONDS) == REMOVED
    cluster.ctl("alarm", "disarm")
    cluster.add(quorate()).wait_ready()
    cluster[0].client.put(b"victim", b"written again")
    cluster.settle()
    assert health(cluster[0])[0] == 200


def test_a_member_that_is_wrong_alone_does_not_start_and_one_that_is_right_does(found):
    """The check at start is on unless told otherwise."""
    cluster = found("qqq")
    write(cluster)
    wrong, right, third = cluster.members
    for each in (wrong, right):
        each.stop()
    alter(wrong)
    right.start()
    assert "initial corruption checking passed" in right.log_text()
    wrong.spawn()
    assert wrong.wait_exit(SECONDS) == CORRUPT
    assert "found data inconsistency with peers" in wrong.log_text()
    # Beside a corrupt one that was let in, whoever agrees with a majority starts.
    wrong.flags = [*wrong.flags, NO_BOOT_CHECK]
    wrong.start()
    right.stop()
    right.start()
    assert "found different hash values from remote peer" in right.log_text()
    assert right.client.get(b"victim") == b"right value"


@pytest.mark.parametrize("flag", ["", "--corrupt-alarm-against-etcd"])
def test_etcd_is_accused_only_where_that_is_allowed(found, flag):
    cluster = found("qqe", NO_BOOT_CHECK, SCANS)
    write(cluster)
    theirs = cluster[2]
    id = cluster.id(theirs)
    cluster.lead(cluster[0])
    theirs.flags = []
    damage(cluster, theirs)
    if flag:
        for ours in cluster.members[:2]:
            ours.flags = [*ours.flags, flag]
            ours.stop()
            ours.start()
    leader = cluster.leader()
    if leader is theirs:
        cluster.lead(cluster[0])
        leader = cluster[0]
    if flag:
        poll(lambda: cluster.ctl("alarm", "list") == f"memberID:{id} alarm:CORRUPT \n", SECONDS, "the alarm is raised")
        assert refusal(lambda: theirs.client.put(b"a", b"b")) == refusal(lambda: leader.client.put(b"a", b"b")) == REFUSED
        return
    told = poll(lambda: leader.client.status().get("errors"), SECONDS, "the leader tells of it")
    assert len(told) == 1 and told[0].startswith(b"member %x holds other data than the majority at revision " % id)
    assert web.metrics(leader.client_port)["quorate_server_data_differs"][2] == {f'{{server_id="{id:x}"}}': 1}
    assert "no alarm, as that member is not Quorate" in leader.log_text()
    assert cluster.ctl("alarm", "list") == "" and health(leader)[0] == 200


@pytest.mark.parametrize("leader", ["etcd", "quorate"])
def test_no_difference_is_found_where_there_is_none(found, reference, leader):
    """Each side's own checks, against the other side's answers."""
    flags = [AT_COMPACTION, EVERY_SECOND, SCANS, "--experimental-initial-corrupt-check=true"]
    cluster = found("eqq" if leader == "etcd" else "qee", *flags)
    cluster.lead(cluster[0])
    for _ in range(3):
        write(cluster)
        cluster[0].client.compact(cluster[0].client.revision() - 2)
        at = len(cluster[0].log_text())
        poll(
            lambda: "successfully checked hash on whole cluster" in cluster[0].log_text()[at:]
            and (leader == "quorate" or "finished peer corruption check" in cluster[0].log_text()[at:]),
            SECONDS,
            "the members are compared",
        )
    # Hashes that compactions left are the same wherever they are asked for.
    assert cluster.ctl("alarm", "list") == ""
    for word in ("hash mismatch", "other data", "failed compaction hash check", "hashes must match", "found different hash"):
        assert word not in cluster[0].log_text()
    for each in cluster.members[1:]:
        each.stop()
        each.start()
        assert "initial corruption checking passed; no corruption" in each.log_text()
