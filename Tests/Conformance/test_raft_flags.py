"""Flags of raft and of what a member keeps: that they do what they say."""

import json
import signal
import time

import pytest

from harness.client import put_request
from harness.cluster import TIMING, Cluster
from harness.daemon import etcd, poll, quorate
from harness.relay import Network

MEBIBYTE = 1 << 20


def test_a_founder_waits_as_long_as_it_is_told(daemons):
    """Without --initial-election-tick-advance the first election takes a whole timeout; with it, hardly any of it."""
    taken = {}
    for advances in ("true", "false"):
        timing = ["--heartbeat-interval", "100", "--election-timeout", "3000"]
        one = daemons(quorate(), advances, flags=["--initial-election-tick-advance=" + advances], timing=timing)
        began = time.monotonic()
        one.start()
        taken[advances] = time.monotonic() - began
        one.stop()
    assert taken["false"] >= 3 and taken["true"] < taken["false"], taken


def test_so_many_files_are_kept(daemons):
    flags = ["--snapshot-count", "20", "--max-snapshots", "2", "--max-wals", "2", "--quota-backend-bytes", str(1 << 30)]
    one = daemons(quorate(), "ours", flags=[*flags, "--unsafe-no-fsync"]).start()

    def names(folder, pattern):
        return sorted(each.name for each in (one.data_dir / "member" / folder).glob(pattern))

    # Four segments of 64 MiB.
    for _ in range(200):
        one.client.call("KV/Put", put_request(b"k", b"x" * MEBIBYTE), 30)
    # What is too much goes at the next snapshot.
    for _ in range(20):
        one.client.put(b"l", b"")
    poll(lambda: len(names("wal", "*.wal")) == len(names("snap", "*.snap")) == 2, 20, "what is too much is removed")
    assert not names("wal", "*.wal")[0].startswith("0000000000000000-")
    one.kill()
    before = len(one.log_text())
    one.start()
    assert len(one.client.get(b"k")) == MEBIBYTE
    # How far it was, segment by segment of those that the newest snapshot leaves to be read.
    lines = [json.loads(line) for line in one.log_text(before).splitlines() if "reading the write-ahead log" in line]
    assert lines and [line["segment"] for line in lines] == list(range(1, lines[0]["segments"] + 1)), lines


def test_so_many_learners_are_taken(daemons, reference):
    cluster = Cluster(daemons, [quorate("3.6")], reference, ["--max-learners", "2"]).start()
    for number in (1, 2, 3):
        done = cluster.ctl("member", "add", f"l{number}", f"--peer-urls=http://127.0.0.1:{number}", "--learner", fails=number == 3)
    assert "too many learner members in cluster" in done


def test_changes_that_lose_the_quorum(daemons, reference):
    """A second member that has not started is a quorum lost; a third is refused, unless --strict-reconfig-check=false."""
    for strict in ("true", "false"):
        flags = ["--strict-reconfig-check=" + strict]
        lone = Cluster(lambda software, folder, **options: daemons(software, strict + folder, **options), [quorate()], reference, flags)
        lone.start()
        lone.ctl("member", "add", "absent", "--peer-urls=http://127.0.0.1:1")
        refusal = lone.ctl("--command-timeout", "1s", "member", "add", "next", "--peer-urls=http://127.0.0.1:2", fails=True)
        assert ("re-configuration failed due to not enough started members" in refusal) == (strict == "true"), refusal


def lost(member, role, since):
    """Whether it has given up a stream that it reads from or writes to ("reader", "writer")."""
    lines = member.log_text(since).splitlines()
    return any("lost TCP streaming connection with remote peer" in line and f"stream-{role}-type" in line for line in lines)


def test_a_stream_that_is_silent_is_left_after_the_read_timeout(daemons, reference):
    cluster = Cluster(daemons, [quorate() for _ in range(3)], reference)
    paused, patient, other = cluster.members
    patient.flags += ["--raft-read-timeout", "60s"]
    cluster.start().leader()
    starts = {each: len(each.log_text()) for each in (patient, other)}
    paused.process.send_signal(signal.SIGSTOP)
    poll(lambda: lost(other, "reader", starts[other]), 30, "the one with 5 s, as long as it is unless told, leaves")
    assert not lost(patient, "reader", starts[patient])
    paused.process.send_signal(signal.SIGCONT)
    cluster.settle()


def test_a_stream_that_takes_nothing_is_left_after_the_write_timeout(daemons, reference):
    """The patient one's was full first, and is there when the other one's is given up."""
    leaders, since, paused = {}, {}, []
    for timeout in ("60s", "5s"):
        softwares = [quorate() for _ in range(3)]
        flags = ["--raft-read-timeout", "60s", "--raft-write-timeout", timeout]
        cluster = Cluster(lambda software, folder, **options: daemons(software, timeout + folder, **options), softwares, reference, flags)
        leader = leaders[timeout] = cluster.start()[0]
        cluster.lead(leader)
        since[timeout] = len(leader.log_text())
        paused.append(cluster[1])
        cluster[1].process.send_signal(signal.SIGSTOP)
        # More than the kernel's buffers of a connection take (16 MiB at most).
        for _ in range(40):
            leader.client.call("KV/Put", put_request(b"k", b"x" * MEBIBYTE), 30)
    poll(lambda: lost(leaders["5s"], "writer", since["5s"]), 30, "the stream is given up")
    assert not lost(leaders["60s"], "writer", since["60s"])
    for each in paused:
        each.process.send_signal(signal.SIGCONT)


@pytest.fixture
def network():
    made = Network()
    yield made
    made.stop()


@pytest.mark.parametrize("word, victim", [("qqq", 0), ("qee", 0), ("qqe", 2)])
@pytest.mark.parametrize("asks_first", [True, False])
def test_a_member_that_comes_back_from_a_cut(daemons, reference, network, word, victim, asks_first):
    """With --pre-vote it follows whoever leads; without, it has called elections meanwhile, and the others must take up its term."""
    softwares = [quorate() if each == "q" else etcd(reference) for each in word]
    flags = [f"--pre-vote={str(asks_first).lower()}"]
    cluster = Cluster(daemons, softwares, reference, flags, network=network).start()
    absent, leader = cluster[victim], cluster[1]
    cluster.lead(leader)

    def term(member):
        return member.client.status()["raft_term"]

    def elections():
        # Of real etcd, status tells the term of the newest entry that was applied.
        return absent.log_text(start).count(" became candidate ") if absent.software.release else term(absent) - before

    before, start = term(leader), len(absent.log_text())
    network.close(*[(absent.name, each.name) for each in cluster.members if each is not absent])
    poll(lambda: "leader" not in absent.client.status(), 20, "it sees no leader")
    if asks_first:
        # As long as it takes to call several elections.
        lonely = time.monotonic()
        poll(lambda: time.monotonic() - lonely > 6 * int(TIMING[3]) / 1000, 20, "it stays without a leader")
        assert elections() == 0 and "leader" not in absent.client.status()
    else:
        poll(lambda: elections() >= 2, 20, "it calls elections")
    network.heal()
    poll(lambda: absent.client.status().get("leader"), 20, "it knows a leader")
    if asks_first:
        assert cluster.leader() is leader and term(leader) == term(absent) == before
    else:
        poll(lambda: term(leader) > before + 1 and term(leader) == term(absent), 20, "the others take up its term")
    cluster.leader()
    absent.client.put(b"a", b"b")
    cluster.settle()
