"""Clusters of real processes under faults, with every call and every watch recorded and judged."""

import random
import signal
import time

import pytest

from harness.client import put_request
from harness.cluster import Cluster
from harness.daemon import etcd, poll, quorate
from harness.faults import Faults, library
from harness.pki import ClusterTLS
from harness.recorded import Recorded
from harness.relay import Network

DISK_FAILURE = 74
AGES = 100_000_000
OFTEN = ["--snapshot-count", "500"]


@pytest.fixture
def found(daemons, reference):
    """Founds a cluster from a word: "qee" is one Quorate and two of real etcd. Members reach each other through relays."""
    networks = []

    def make(word, prepare=lambda cluster: None, flags=(), tls=None):
        networks.append(Network(tls))
        softwares = [quorate() if each == "q" else etcd(reference) for each in word]
        cluster = Cluster(daemons, softwares, reference, flags, network=networks[0], tls=tls)
        prepare(cluster)
        return cluster.start()

    yield make
    for each in networks:
        each.stop()


def may_be_killed(member):
    if (release := member.software.release) and release.number < (3, 5, 3):
        pytest.skip(f"etcd {release.version} loses data when it is killed")


def others(cluster, member):
    return [each for each in cluster.members if each is not member]


def directions(cluster, member, inwards=True, outwards=True):
    """Between a member and all the others, for the network."""
    names = [each.name for each in others(cluster, member)]
    return [(name, member.name) for name in names if inwards] + [(member.name, name) for name in names if outwards]


def successor(cluster, old):
    """Whether the others follow another leader."""
    leaders = {each.client.status().get("leader", 0) for each in others(cluster, old)}
    return len(leaders) == 1 and not leaders & {0, cluster.ids[old.name]}


class Fault:
    """Something that happens to one member, and is over later."""

    def __init__(self, cluster, member, kind):
        self.cluster, self.member, self.kind = cluster, member, kind

    def begin(self):
        network, member = self.cluster.network, self.member
        match self.kind:
            case "killed":
                member.kill()
            case "paused":
                member.process.send_signal(signal.SIGSTOP)
            case "cut off":
                network.close(*[(member.name, each.name) for each in others(self.cluster, member)])
            case "silent":
                network.silence(*directions(self.cluster, member))
            case "deaf":
                network.silence(*directions(self.cluster, member, outwards=False))
            case "mute":
                network.silence(*directions(self.cluster, member, inwards=False))

    def end(self):
        match self.kind:
            case "killed":
                self.member.spawn()
                self.member.wait_ready()
            case "paused":
                self.member.process.send_signal(signal.SIGCONT)
            case _:
                self.cluster.network.heal()


KINDS = ["killed", "paused", "cut off", "silent", "deaf", "mute"]


@pytest.mark.parametrize(
    "word, victim, kind",
    [
        *[("qqq", 0, kind) for kind in KINDS],
        # Real etcd elects one of its own, and the other way round.
        *[("qee", 0, kind) for kind in ("killed", "deaf", "mute")],
        *[("qqe", 2, kind) for kind in ("killed", "silent", "deaf")],
    ],
)
def test_the_leader_is(found, word, victim, kind):
    """The others elect a leader and go on; what comes back has nothing to tell that is not true any more."""
    cluster = found(word, flags=OFTEN)
    leader = cluster[victim]
    if kind == "killed":
        may_be_killed(leader)
    cluster.lead(leader)
    with Recorded(cluster) as load:
        fault = Fault(cluster, leader, kind)
        fault.begin()
        poll(lambda: successor(cluster, leader), 20, "another member leads")
        load.more(60)
        fault.end()
        load.more(60)
        load.finish()


@pytest.mark.parametrize("word", ["qqq", "qee"])
def test_faults_over_tls(found, tmp_path, word):
    """Whoever leads is killed, paused and cut off, one after the other; members and clients speak TLS."""
    cluster = found(word, flags=OFTEN, tls=ClusterTLS(tmp_path / "pki"))
    may_be_killed(cluster[-1])
    with Recorded(cluster) as load:
        for kind in ("killed", "paused", "cut off", "silent"):
            leader = cluster.leader()
            fault = Fault(cluster, leader, kind)
            fault.begin()
            poll(lambda: successor(cluster, leader), 20, "another member leads")
            load.more(30)
            fault.end()
            load.more(30)
        load.finish()


def test_a_stale_read_is_found(found):
    """The judge sees what real members do wrong: here because it was told that a serializable read had been a linearizable one."""
    cluster = found("qqq")
    leader = cluster.leader()
    behind = others(cluster, leader)[0]
    with Recorded(cluster, sessions=2) as load:
        assert load.put_at(leader, 10)
        load.get_at(behind)
        cluster.network.silence(*directions(cluster, behind))
        assert load.put_at(leader, 10)
        load.get_at(behind, serializable=True)
        cluster.network.heal()
        with pytest.raises(AssertionError, match="comes before"):
            load.finish()


def prepared(faults, tmp_path):
    """Gives every member that is no Go program its own faults."""

    def prepare(cluster):
        for each in cluster.members:
            if each.software.release is None:
                faults[each.name] = Faults(each, library(tmp_path))

    return prepare


@pytest.mark.parametrize("word", ["qqq", "qee"])
def test_the_leaders_disk_hangs(found, tmp_path, word):
    """Another member leads soon, the clients of the others go on, and afterwards it follows."""
    faults = {}
    cluster = found(word, prepared(faults, tmp_path))
    leader = cluster[0]
    cluster.lead(leader)
    rest = others(cluster, leader)
    with Recorded(cluster) as load:
        faults[leader.name].begin("hang")
        poll(lambda: any(load.put_at(each, 0.3) for each in rest), 20, "a write is acknowledged", 0.005)
        poll(lambda: successor(cluster, leader), 20, "another member leads")
        load.more(60)
        # It knows that it cannot answer, and says so at once.
        with leader.connect(5) as client:
            refused = client.outcome("KV/Put", put_request(b"h/refused", b""))
        assert refused.code == "UNAVAILABLE", refused
        faults[leader.name].end()
        poll(lambda: cluster.leader() is not leader, 20, "the old leader follows")
        load.more()
        load.finish()


@pytest.mark.parametrize("word", ["qqq", "qee"])
def test_page_files_that_hang(found, tmp_path, word):
    """Of a follower and of the leader: what is acknowledged is in the log, so writes go on, and commits when it can be done. The leader
    lets another member lead."""
    faults = {}
    cluster = found(word, prepared(faults, tmp_path), flags=OFTEN)
    leader = cluster[0]
    cluster.lead(leader)
    hanging = [leader] if word == "qee" else [others(cluster, leader)[0], leader]
    with Recorded(cluster) as load:
        for member in hanging:
            faults[member.name].begin("hang", "db")
            load.more(120)
            if member is leader:
                poll(lambda: successor(cluster, leader), 20, "another member leads")
                load.more(60)
            member.kill()
            faults[member.name].end()
            member.start()
            load.more()
        load.finish()


@pytest.mark.parametrize("word", ["qqq", "qee"])
def test_a_crash_between_a_snapshot_and_its_installation(found, tmp_path, word):
    """The database has arrived and the log says so; the page file's thread, which is to take it over, hangs in a commit. The next start
    makes up for it."""
    faults = {}
    cluster = found(word, prepared(faults, tmp_path), flags=[*OFTEN, "--experimental-snapshot-catchup-entries", "100"])
    behind = cluster[0]
    cluster.lead(cluster[1])
    faults[behind.name].begin("hang", "db")
    behind.client.put(b"uncommitted", b"1")
    cluster.network.close(*[(behind.name, each.name) for each in others(cluster, behind)])
    for number in range(1500):
        cluster[1].client.put(b"past", b"%d" % number)
    cluster.network.heal()
    # Its marker is in the log when the member says so.
    poll(lambda: "received a snapshot from the leader" in behind.log_text(), 20, "raft has taken the snapshot")
    behind.kill()
    assert "applied snapshot" not in behind.log_text()
    faults[behind.name].end()
    behind.start()
    assert "took over the database of a received snapshot" in behind.log_text(), behind.log_tail()
    behind.client.put(b"after", b"1")
    cluster.settle()


def test_slow_disks(found, tmp_path):
    """Of a follower and of the leader, nearly as slow as a heartbeat and much slower."""
    faults = {}
    cluster = found("qqq", prepared(faults, tmp_path))
    leader = cluster.leader()
    follower = others(cluster, leader)[0]
    with Recorded(cluster) as load:
        faults[follower.name].begin("delay", 300)
        load.more()
        faults[leader.name].begin("delay", 100)
        load.more(30)
        for each in faults.values():
            each.end()
        load.more()
        load.finish()


@pytest.mark.parametrize("fault, leads", [("broken", True), ("full", False)])
def test_a_disk_that_fails_ends_its_member_only(found, tmp_path, fault, leads):
    faults = {}
    cluster = found("qqq", prepared(faults, tmp_path))
    leader = cluster.leader()
    victim = leader if leads else others(cluster, leader)[0]
    with Recorded(cluster) as load:
        faults[victim.name].begin(fault)
        assert victim.wait_exit(20) == DISK_FAILURE
        reason = "input/output error" if fault == "broken" else "no space left"
        assert reason in victim.log_text().lower(), victim.log_tail()
        load.more(60)
        faults[victim.name].end()
        victim.start()
        load.more()
        load.finish()


def test_clocks_that_jump(found, tmp_path):
    """The time of day is for logs: no lease depends on it, and nothing else."""
    faults = {}
    cluster = found("qqq", prepared(faults, tmp_path))
    leader = cluster.leader()
    lease = leader.client.grant(60)
    brief = leader.client.grant(2)
    with Recorded(cluster) as load:
        for member, seconds in zip([leader, *others(cluster, leader)], (7200, -86400, 1800)):
            faults[member.name].begin("clock", seconds)
        load.more()
        faults[leader.name].begin("clock", -7200)
        poll(lambda: brief not in leader.client.leases(), 10, "a lease ends in its time although the clock went back")
        assert leader.client.lease(lease)["ttl"] in range(40, 61)
        load.more()
        for each in faults.values():
            each.end()
        # A start takes the time for part of its request ids.
        follower = others(cluster, leader)[0]
        faults[follower.name].begin("clock", -AGES)
        follower.kill()
        follower.start()
        load.more()
        load.finish()
    # It was believed, and did not matter.
    assert f'"ts":"{time.strftime("%Y-%m", time.gmtime(time.time() - AGES))}' in follower.log_text()


@pytest.mark.slow
@pytest.mark.parametrize("word", ["qqq", "qee", "qqe", "qqqqq"])
def test_random_faults(found, tmp_path, word):
    """A minute of anything, one after the other."""
    seed = time.time_ns()
    chance = random.Random(seed)
    faults = {}
    cluster = found(word, prepared(faults, tmp_path), flags=OFTEN)
    may_be_killed(cluster[-1])
    end = time.monotonic() + 60
    with Recorded(cluster, seed=seed) as load:
        while time.monotonic() < end:
            member = chance.choice([*cluster.members, *[each for each in cluster.members if each.name in faults]])
            kind = chance.choice([*KINDS, "hang", "delay", "clock"] if member.name in faults else KINDS)
            print(f"{kind}: {member.name}", flush=True)
            if kind in KINDS:
                fault = Fault(cluster, member, kind)
                fault.begin()
                time.sleep(chance.uniform(0, 2))
                fault.end()
            else:
                faults[member.name].begin(kind, {"hang": chance.choice(["", "db", ".wal"]), "delay": 200, "clock": -5000}[kind])
                time.sleep(chance.uniform(0, 2))
                faults[member.name].end()
            if chance.random() < 0.5:
                load.more(20, 30)
        load.more(50, 30)
        load.finish()
