"""Mistakes that etcd's releases made, one by one, asked of the member under test. Where each is tested is in known-bugs.md."""

import json
import pathlib
import re
import threading

import grpc
import pytest

from harness.client import (
    ALL_KEYS,
    LEASE,
    WATCH,
    Outcome,
    decode,
    delete_request,
    embedded,
    message,
    missing,
    operation,
    put_request,
    range_request,
    txn_request,
)
from harness.cluster import Cluster
from harness.daemon import poll, quorate
from harness.web import request

TESTS = pathlib.Path(__file__).parent.parent
ABSENT_LEASE = 0x0BAD
HUNDREDS = 300


@pytest.fixture
def member(daemons):
    return daemons(quorate(), "only").start()


@pytest.fixture
def found(daemons, reference):
    def make(count, flags=()):
        return Cluster(daemons, [quorate()] * count, reference, flags).start()

    return make


def test_every_test_that_is_named_exists():
    """Of the tables that say where what went wrong elsewhere is tested."""
    sources = "\n".join(path.read_text() for path in sorted(TESTS.rglob("*.swift")) + sorted(TESTS.rglob("*.py")))
    known = set(re.findall(r"\b(?:func|def|struct|class) (\w+)", sources)) | {path.name for path in TESTS.rglob("*.py")}
    for table in ["known-bugs.md", "proxy-complaints.md"]:
        rows = [line for line in (pathlib.Path(__file__).parent / table).read_text().splitlines() if line.startswith("|")]
        names = {name for row in rows for name in re.findall(r"`(?:\w+\.)?((?:test_|[a-z]+[A-Z]|[A-Z]\w+Tests)[\w]*(?:\.py)?)`", row)}
        assert len(names) > 20, "the table holds names"
        assert sorted(names - known) == [], table


def test_a_deletion_at_the_compacted_revision_is_told(member):
    """18089, 19179: whoever resumes at the compacted revision itself hears of keys deleted by it."""
    client = member.client
    keys = [b"k%04d" % number for number in range(50)]
    for key in keys:
        client.put(key, b"1")
    # One revision deletes them all; compaction leaves nothing but their tombstones.
    client.delete(b"k", b"l")
    deleted = client.revision()
    client.compact(deleted)
    client.put(b"later", b"1")
    history = client.history(deleted, deleted + 1)
    assert [(event[0], event[1], event[3]) for event in history[:-1]] == [(1, key, deleted) for key in keys]
    assert history[-1][1] == b"later"


def test_a_transaction_that_fails_leaves_nothing_behind(member):
    """18799: an operation that fails is found before the ones in front of it have changed anything."""
    client = member.client
    client.put(b"old", b"1")
    before = client.revision()
    good = operation(put=put_request(b"new", b"1"))
    bad = operation(put=put_request(b"leased", b"1", ABSENT_LEASE))
    valueless = operation(put=message((1, b"absent"), (5, True)))
    nested = operation(txn=txn_request([missing(b"none")], [good, bad]))
    for operations in ([good, bad], [operation(delete=delete_request(b"old")), valueless], [good, nested]):
        outcome = client.outcome("KV/Txn", txn_request(success=operations))
        assert isinstance(outcome, Outcome), operations
        assert client.revision() == before
        assert client.get(b"new") is None and client.get(b"old") == b"1"


def test_writes_in_nested_transactions_count_as_writes(daemons):
    """22140: without room they are refused like any other, and reads are not."""
    # The cluster's version, because members of etcd 3.5 that take part would not refuse them.
    member = daemons(quorate("3.6"), "only", flags=["--quota-backend-bytes", str(1 << 20)]).start()
    client = member.client

    def is_full():
        outcome = client.outcome("KV/Put", put_request(b"fill%d" % client.revision(), bytes(256 * 1024)))
        return isinstance(outcome, Outcome) and "database space exceeded" in outcome.text

    poll(is_full, 20, "the quota is reached", 0)
    put = operation(put=put_request(b"k", b"v"))
    read = operation(range=range_request(b"k"))
    hidden = operation(txn=txn_request([missing(b"none")], [operation(txn=txn_request(success=[put]))]))
    refused = client.outcome("KV/Txn", txn_request(success=[read, hidden]))
    assert isinstance(refused, Outcome) and "database space exceeded" in refused.text
    nested_read = operation(txn=txn_request(success=[read]))
    assert not isinstance(client.outcome("KV/Txn", txn_request(success=[nested_read])), Outcome)


def test_hundreds_of_watchers_made_in_haste_hear_everything(member):
    """17529, 20655: on one stream, with previous values, while the keys they watch are written."""
    stop = threading.Event()
    written = [0]

    def write():
        while not stop.is_set():
            member.client.put(b"k%d" % (written[0] % 10), b"%d" % written[0])
            written[0] += 1

    first = member.client.revision() + 1
    writer = threading.Thread(target=write)
    writer.start()
    poll(lambda: written[0] > 50, 20, "writes are under way")
    create = embedded(1, message((1, ALL_KEYS[0]), (2, ALL_KEYS[1]), (3, first), (6, True)))
    finished = threading.Event()

    def requests():
        for _ in range(HUNDREDS):
            yield create
        finished.wait(50)

    call = member.client._channel.stream_stream("/etcdserverpb.Watch/Watch")(requests(), timeout=50)
    heard, last = {}, None
    try:
        for part in call:
            response = decode(part, WATCH)
            assert not response.get("canceled"), response
            watcher = response.get("watch_id", 0)
            if response.get("created"):
                heard[watcher] = first - 1
                if len(heard) == HUNDREDS:
                    stop.set()
                    writer.join()
                    last = first - 1 + written[0]
            for event in response.get("events", []):
                kv = event["kv"]
                assert kv["mod_revision"] == heard[watcher] + 1, watcher
                heard[watcher] += 1
                number = int(kv["value"])
                assert event.get("prev_kv", {}).get("value") == (b"%d" % (number - 10) if number >= 10 else None)
            if last is not None and all(revision == last for revision in heard.values()):
                break
    finally:
        stop.set()
        finished.set()
        call.cancel()
    assert len(heard) == HUNDREDS and set(heard.values()) == {last}


def renew(client, lease):
    """What is left after a renewal: 0 for a lease that is not."""
    parts = client._channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive")(iter([message((1, lease))]), timeout=10)
    try:
        return decode(next(parts), LEASE).get("ttl", 0)
    finally:
        parts.cancel()


def test_nobody_renews_what_has_been_revoked(found):
    """20615: by no member, from the answer to the revocation on; and while it is under way the answer fits one order of the two."""
    cluster = found(3)
    for round in range(20):
        lease = cluster[0].client.grant(60)
        others = [cluster[(round + offset) % 3].client for offset in (1, 2)]
        renewals = []
        racing = threading.Thread(target=lambda: renewals.extend(renew(others[0], lease) for _ in range(3)))
        racing.start()
        cluster[round % 3].client.call("Lease/LeaseRevoke", message((1, lease)))
        assert [renew(other, lease) for other in others] == [0, 0]
        racing.join()
        # Once gone it stays gone.
        assert renewals == sorted(renewals, reverse=True) and set(renewals) <= {0, 60}


def test_times_to_live_make_sense_while_leaders_change(found):
    """17704: not the rest of a time that nobody keeps at the moment."""
    cluster = found(3)
    lease = cluster[0].client.grant(60)
    stop = threading.Event()
    told = []

    def ask(member):
        while not stop.is_set():
            try:
                told.append(member.client.lease(lease).get("ttl", 0))
            except grpc.RpcError as error:
                assert error.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), error

    askers = [threading.Thread(target=ask, args=(member,)) for member in cluster.members]
    for asker in askers:
        asker.start()
    try:
        for turn in range(4):
            cluster.lead(cluster[turn % 3])
    finally:
        stop.set()
        for asker in askers:
            asker.join()
    assert len(told) > 50 and all(0 < left <= 60 for left in told), [left for left in told if not 0 < left <= 60]


def test_a_member_is_added_while_another_is_down(found):
    """21667: as long as there is a quorum with the new one counted as down, too; with one more down there is none."""
    cluster = found(4)
    next(each for each in cluster.members if each is not cluster.leader()).kill()
    added = ["member", "add", "absent", "--peer-urls=http://127.0.0.1:1", "--learner"]
    poll(lambda: cluster.tries(*added), 20, "a member is added", 0.5)
    cluster.ctl("member", "remove", next(line.split(", ")[0] for line in cluster.member_lists() if "127.0.0.1:1," in line))
    voter = ["--command-timeout", "2s", "member", "add", "other", "--peer-urls=http://127.0.0.1:2"]
    poll(lambda: cluster.tries(*voter), 20, "a voter is added", 0.5)
    refusal = cluster.ctl("--command-timeout", "2s", "member", "add", "third", "--peer-urls=http://127.0.0.1:3", fails=True)
    assert "unhealthy cluster" in refusal


def test_changes_of_members_stay_after_restarts_and_a_newer_version(found):
    """20967, 13196, 19557, 20793, 21736: whoever was removed, promoted or updated is what it was then, in every place that tells."""
    cluster = found(1, flags=["--snapshot-count", "100"])
    promoted = cluster.add(quorate(), learner=True)
    poll(lambda: cluster.tries("member", "promote", f"{cluster.id(promoted):x}", member=cluster[0]), 20, "promoted")
    removed = cluster.add(quorate(), learner=True)
    poll(lambda: cluster.is_serving(removed), 20, "the learner serves")
    cluster.remove(removed)
    assert removed.wait_exit(20) == 76
    cluster.ctl("member", "add", "absent", "--peer-urls=http://127.0.0.1:1", "--learner")
    absent = next(line.split(", ")[0] for line in cluster.member_lists() if "127.0.0.1:1," in line)
    cluster.ctl("member", "update", absent, "--peer-urls=http://127.0.0.1:2")

    def roles():
        found = [line.split(", ") for line in cluster.settle().member_lists()]
        return sorted((columns[3], columns[-1]) for columns in found)

    remaining = sorted((each.peer_url, "false") for each in cluster.members)
    expected = sorted([*remaining, ("http://127.0.0.1:2", "true")])
    assert roles() == expected
    restart(cluster, "3.5")
    assert roles() == expected
    # Who never started is of no version: with it the cluster's does not rise.
    cluster.ctl("member", "remove", absent)
    restart(cluster, "3.6")
    poll(lambda: json.loads(request(cluster[0].client_port, "/version").body)["etcdcluster"] == "3.6.0", 20, "the newer version")
    assert roles() == remaining
    restart(cluster, "3.6")
    assert roles() == remaining


def restart(cluster, version):
    """All of them, past a snapshot, so that what they know then does not come from the log alone."""
    for number in range(250):
        cluster[0].client.put(b"k", b"%d" % number)
    for each in cluster.members:
        each.become(quorate(version))
    for each in cluster.members:
        each.spawn()
    for each in cluster.members:
        each.wait_ready()
