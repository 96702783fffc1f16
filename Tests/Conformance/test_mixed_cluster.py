"""Clusters of Quorate and real etcd under what happens to clusters: TLS, elections, kills, pauses, members that replace each other."""

import signal

import pytest

from harness.client import RANGE, TXN, Outcome, decode, missing, operation, put_request, range_request, txn_request
from harness.cluster import Cluster, Load, write
from harness.daemon import etcd, poll, quorate
from harness.pki import Authority
from harness.protobuf import fields

# Snapshots soon, and few entries for those that are behind.
OFTEN = ["--snapshot-count", "500", "--experimental-snapshot-catchup-entries", "100"]


@pytest.fixture
def found(daemons, reference):
    """Founds a cluster from a word: "qee" is one Quorate and two of real etcd."""

    def make(word, **options):
        return Cluster(daemons, [quorate() if each == "q" else etcd(reference) for each in word], reference, **options).start()

    return make


def peer_tls(folder):
    """Flags of members that trust one authority and show certificates to each other."""
    authority = Authority(folder)
    pair = authority.issue("member")
    return [
        "--peer-client-cert-auth",
        "--peer-trusted-ca-file", str(authority.certificate),
        "--peer-cert-file", str(pair.certificate),
        "--peer-key-file", str(pair.key),
    ]  # fmt: skip


@pytest.mark.parametrize("leader, behind", [(0, 1), (1, 0)])
def test_members_speak_tls(found, tmp_path, leader, behind):
    """Streams, requests and a database, each way."""
    cluster = found("qee", flags=OFTEN + peer_tls(tmp_path / "pki"), peer_scheme="https")
    cluster.leave_behind(cluster[behind], cluster[leader])


def test_every_member_leads_in_turn(found):
    cluster = found("qeq")
    for member in [*cluster.members, *cluster.members]:
        cluster.lead(member)
        for other in cluster.members:
            other.client.put(b"led by", member.name.encode())
            lease = other.client.grant(30)
            assert other.client.lease(lease)["granted_ttl"] == 30
    cluster.settle()


@pytest.mark.parametrize("word, victim", [("qee", 0), ("qqe", 2)])
@pytest.mark.parametrize("fault", ["killed", "paused"])
def test_a_leader_that_is_gone(found, word, victim, fault):
    """The others go on; what comes back knows that it no longer leads."""
    cluster = found(word)
    old = cluster[victim]
    cluster.lead(old)
    load = Load(cluster, b"load")
    load.start()

    def more_writes(count=30):
        before = len(load.acknowledged)
        poll(lambda: len(load.acknowledged) >= before + count, 30, "writes go on")

    more_writes()
    if fault == "killed":
        old.kill()
        more_writes()
        old.start()
    else:
        old.process.send_signal(signal.SIGSTOP)
        survivor = next(each for each in cluster.members if each is not old)
        written = (b"meanwhile", b"ok")
        poll(lambda: isinstance(survivor.client.outcome("KV/Put", put_request(*written)), bytes), 30, "the others elect", 0.1)
        old.process.send_signal(signal.SIGCONT)
        # Its first answer is not from before: it has to ask who leads now.
        request = range_request(b"meanwhile")
        answer = poll(lambda: isinstance(reply := old.client.outcome("KV/Range", request), bytes) and reply, 30, "a read")
        assert decode(answer, RANGE)["kvs"][0]["value"] == b"ok"
    more_writes()
    load.stop()
    for member in cluster.settle().members:
        load.check(member)


@pytest.mark.parametrize("branch", ["success", "failure"])
@pytest.mark.parametrize("leader", [0, 1])
def test_a_transaction_that_reads_the_past_is_refused_by_all(found, leader, branch):
    """Asked of Quorate: etcd alone carries it out on the members that were not asked."""
    cluster = found("qee")
    ours = cluster[0]
    cluster.lead(cluster[leader])
    write(ours, 60)
    ours.client.compact(30)
    before = ours.client.revision()
    # Of a key that is there: the failing branch is taken.
    compare = [] if branch == "success" else [missing(b"k0")]

    def transaction(revision):
        parts = [operation(put=put_request(b"txn", b"1")), operation(range=range_request(b"k0", revision=revision))]
        return txn_request(compare, **{branch: [*parts, operation(range=range_request(b"k1"))]})

    for revision, reason in ((10, "required revision has been compacted"), (before + 100, "required revision is a future revision")):
        outcome = ours.client.outcome("KV/Txn", transaction(revision))
        assert isinstance(outcome, Outcome) and reason in outcome.text, outcome
    assert cluster.settle()[1].client.get(b"txn") is None and ours.client.revision() == before
    # What is not refused is answered as etcd answers it.
    replies = [decode(each.client.call("KV/Txn", transaction(40)), TXN)["responses"] for each in (ours, cluster[1])]
    ranges = [[decode(dict(fields(part))[1], RANGE) for part in reply[1:]] for reply in replies]
    for one, other in zip(*ranges, strict=True):
        assert one.keys() == other.keys() and one["kvs"] == other["kvs"] and one["header"].keys() == other["header"].keys()
    cluster.settle()


def test_a_member_is_replaced_by_a_learner_there_and_back(found, reference):
    cluster = found("eee", flags=[*OFTEN, "--strict-reconfig-check=false"])
    write(cluster[0], 1500)
    load = Load(cluster, b"load")
    load.start()
    for software in (quorate(), etcd(reference)):
        # The newest is replaced, so that the second round is about the member that came in the first.
        old = cluster[-1]
        new = cluster.add(software, learner=True)
        poll(lambda new=new: cluster.is_serving(new), 30, "the learner serves")
        id = f"{cluster.id(new):x}"
        poll(lambda id=id: cluster.tries("member", "promote", id), 30, "the learner is promoted", 0.2)
        new.wait_ready()
        cluster.lead(old)
        cluster.remove(old)
        poll(lambda old=old: old.process.poll() is not None, 30, f"{old.name} stops")
        # What is proposed while nobody leads may be lost.
        cluster.leader()
    load.stop()
    for member in cluster.settle().members:
        load.check(member)
        member.stop()
        member.start()
    cluster.settle()
    assert len(cluster.member_lists()) == 3
