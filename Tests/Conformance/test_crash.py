"""Killed in the middle of its work, or out of space: whatever was acknowledged is there afterwards, once."""

import os
import random
import subprocess
import threading
import time
from collections import Counter

import grpc
import pytest

from harness.client import DELETE, PUT, TXN, Client, delete_request, missing, operation, put_request, txn_request
from harness.contents import pipelined, read_contents
from harness.daemon import poll, quorate
from harness.protobuf import decode

WRITERS = 6
IN_FLIGHT = 8
DISK_FAILURE = 74
REPLIES = {"put": PUT, "txn": TXN, "delete": DELETE}


class Writer(threading.Thread):
    """Creates keys nobody wrote before, deletes some of them again, and remembers what was acknowledged.

    Nothing is ever sent twice, so a request without an answer may have happened or not.
    """

    def __init__(self, endpoint, name):
        super().__init__(daemon=True)
        self.client = Client(endpoint, timeout=5)
        self.prefix = name
        #: key -> (value, revision) of acknowledged creations.
        self.created = {}
        self.deletable = []
        #: key -> revision of acknowledged deletions, and keys whose deletion got no answer.
        self.deleted = {}
        self.perhaps_deleted = set()
        self.count = 0
        self.unexpected = []

    def _send(self):
        self.count += 1
        key = b"%s/%08d" % (self.prefix, self.count)
        value = b"value %d " % self.count + bytes(random.randrange(97, 123) for _ in range(self.count % 200))
        if self.count % 10 == 9 and self.deletable:
            victim = self.deletable.pop(random.randrange(len(self.deletable)))
            self.perhaps_deleted.add(victim)
            return "delete", victim, None, self.client.start("KV/DeleteRange", delete_request(victim))
        if self.count % 3 == 0:
            request = txn_request([missing(key)], [operation(put=put_request(key, value))], [])
            return "txn", key, value, self.client.start("KV/Txn", request)
        return "put", key, value, self.client.start("KV/Put", put_request(key, value))

    def run(self):
        waiting = []
        while True:
            waiting.append(self._send())
            if len(waiting) < IN_FLIGHT:
                continue
            kind, key, value, future = waiting.pop(0)
            try:
                reply = future.result()
            except grpc.RpcError:
                break
            self._note(kind, key, value, reply)
        for kind, key, value, future in waiting:
            try:
                self._note(kind, key, value, future.result())
            except grpc.RpcError:
                continue
        self.client.close()

    def _note(self, kind, key, value, reply):
        answer = decode(reply, REPLIES[kind])
        revision = answer["header"]["revision"]
        if kind == "delete":
            self.deleted[key] = revision
            self.perhaps_deleted.discard(key)
            return
        if kind == "txn" and not answer.get("succeeded"):
            self.unexpected.append(f"{key} existed before it was created")
        self.created[key] = (value, revision)
        self.deletable.append(key)


class Ledger:
    """What all writers of all rounds were told."""

    def __init__(self):
        self.created = {}
        self.deleted = {}
        self.perhaps_deleted = set()

    def add(self, writers):
        for writer in writers:
            assert not writer.unexpected, writer.unexpected[:5]
            self.created |= writer.created
            self.deleted |= writer.deleted
            self.perhaps_deleted |= writer.perhaps_deleted

    def check(self, client):
        """Every acknowledged write is there exactly once, at the revision it was given."""
        events = client.history(1, client.revision())
        revisions = sorted({event[3] for event in events})
        assert revisions == list(range(2, 2 + len(revisions))), "revisions repeat or are missing"
        puts, removals = {}, {}
        repeated = [key for key, number in Counter(event[1] for event in events if event[0] == 0).items() if number > 1]
        assert not repeated, f"applied more than once: {repeated[:5]}"
        for kind, key, create_revision, mod_revision, version, value, _ in events:
            if kind == 0:
                assert version == 1 and create_revision == mod_revision, f"{key} was created as version {version}"
                puts[key] = (value, mod_revision)
            else:
                removals[key] = mod_revision
        lost = [key for key, written in self.created.items() if puts.get(key) != written]
        examples = [(key, self.created[key], puts.get(key)) for key in lost[:3]]
        assert not lost, f"{len(lost)} acknowledged writes lost or changed, first {examples}"
        for key, revision in self.deleted.items():
            assert removals.get(key) == revision, f"deletion of {key} at {revision} lost"
        invented = removals.keys() - self.deleted.keys() - self.perhaps_deleted
        assert not invented, f"deleted by nobody: {sorted(invented)[:5]}"
        present = {kv["key"] for kv in client.range(b"w", b"x", keys_only=True).get("kvs", [])}
        assert present == puts.keys() - removals.keys()


def kill_under_load(daemon, rounds, seed):
    chance = random.Random(seed)
    ledger = Ledger()
    for number in range(rounds):
        writers = [Writer(daemon.endpoint, b"w%d/%d" % (number, index)) for index in range(WRITERS)]
        for writer in writers:
            writer.start()
        # Every writer has been answered; then any moment is as good as another.
        poll(lambda: all(writer.created for writer in writers), 20, "the first acknowledged writes")
        threading.Event().wait(chance.uniform(0, 0.6))
        daemon.kill()
        for writer in writers:
            writer.join(20)
            assert not writer.is_alive()
        ledger.add(writers)
        daemon.start()
        try:
            ledger.check(daemon.client)
        except AssertionError as failure:
            raise AssertionError(f"round {number}, seed {seed}: {failure}") from failure
    assert len(ledger.created) > rounds * WRITERS and ledger.deleted
    return ledger


def test_killed_under_load(daemons):
    daemon = daemons(quorate(), "member", flags=["--snapshot-count", "1000"]).start()
    kill_under_load(daemon, rounds=8, seed=time.time_ns())


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(15))
def test_killed_under_load_many_times(daemons, attempt):
    daemon = daemons(quorate(), "member", flags=["--snapshot-count", "300"]).start()
    kill_under_load(daemon, rounds=10, seed=time.time_ns())


def test_defragmentation_under_load(daemons):
    """Writers lose nothing to it, and it ends while they go on; nor does a kill right after the last lose anything."""
    daemon = daemons(quorate(), "member", flags=["--snapshot-count", "1000"]).start()
    writers = [Writer(daemon.endpoint, b"w0/%d" % index) for index in range(WRITERS)]
    for writer in writers:
        writer.start()
    for number in range(1, 6):
        poll(lambda number=number: all(len(writer.created) > 30 * number for writer in writers), 30, "writes go on")
        daemon.client.call("Maintenance/Defragment", b"", 30)
    daemon.kill()
    for writer in writers:
        writer.join(20)
    ledger = Ledger()
    ledger.add(writers)
    daemon.start()
    ledger.check(daemon.client)


def test_killed_while_starting(daemons):
    """Killed again and again before it is ready: a start that is cut off leaves nothing behind that stops the next."""
    daemon = daemons(quorate(), "member", flags=["--snapshot-count", "100"]).start()
    for _ in pipelined(daemon.client.start("KV/Put", put_request(b"k%d" % index, b"v")) for index in range(1_000)):
        pass
    before = read_contents(daemon.client)
    chance = random.Random(1)
    for _ in range(12):
        daemon.kill()
        daemon.spawn()
        threading.Event().wait(chance.uniform(0, 0.3))
    daemon.kill()
    daemon.start()
    before.assert_equal(read_contents(daemon.client))


def test_compaction_and_leases_survive(daemons):
    """Killed right after a compaction and a revocation were acknowledged."""
    daemon = daemons(quorate(), "member").start()
    for number in range(3):
        client = daemon.client
        lease = client.grant(600, 100 + number)
        client.put(b"leased", b"%d" % number, lease)
        for index in range(50):
            client.put(b"k", b"%d" % index)
        revision = client.revision()
        client.compact(revision, physical=False)
        if number < 2:
            client.call("Lease/LeaseRevoke", bytes([8, 100 + number]))
        daemon.kill()
        daemon.start()
        # An acknowledged logical compaction is replayed from the log at the latest.
        assert (
            daemon.client.outcome("KV/Compact", b"\x08" + bytes([revision & 0x7F | 0x80, revision >> 7])).code == "OUT_OF_RANGE"
        )
    assert daemon.client.leases() == [102]
    assert daemon.client.get(b"leased") == b"2"
    assert daemon.client.get(b"k") == b"49"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own; enlarge("SIZE") makes room."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=220m", "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")

    def enlarge(size):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    yield folder, enlarge
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_full_disk(daemons, small_disk, tmp_path):
    """The member stops and says why; what it acknowledged is there when there is space again."""
    folder, enlarge = small_disk
    daemon = daemons(quorate(), "member", data_dir=folder / "data").start()
    acknowledged = {}
    failure = None
    for index in range(1_000):
        key, value = b"w/%04d" % index, bytes([index % 251]) * 500_000
        try:
            acknowledged[key] = daemon.client.put(key, value)["header"]["revision"]
        except grpc.RpcError as error:
            failure = error
            break
    assert failure is not None, "220 MB took 500 MB"
    assert len(acknowledged) > 20
    assert daemon.wait_exit(30) != 0
    assert "no space left" in daemon.log_text().lower(), daemon.log_tail()

    enlarge("1g")
    daemon.start()
    found = {kv["key"]: kv for kv in daemon.client.range(b"w", b"x").get("kvs", [])}
    for key, revision in acknowledged.items():
        assert found[key]["mod_revision"] == revision and found[key]["version"] == 1
        assert found[key]["value"] == bytes([int(key[2:]) % 251]) * 500_000
    assert len(found) <= len(acknowledged) + 1
    daemon.client.put(b"w/after", b"space")
    daemon.stop()


def test_a_page_file_cut_off_under_the_member(daemons):
    """Its pages are mapped: to read what is gone would be the end of a program that is not prepared for it, and tell nobody why."""
    daemon = daemons(quorate(), "member").start()
    for _ in pipelined(daemon.client.start("KV/Put", put_request(b"k%d" % index, b"x" * 20_000)) for index in range(400)):
        pass
    # From now on values come from the file.
    daemon.stop()
    daemon.start()
    file = daemon.data_dir / "member" / "snap" / "db"
    os.truncate(file, 5 * 4096)
    with pytest.raises(grpc.RpcError):
        for index in range(400):
            daemon.client.get(b"k%d" % index)
    assert daemon.wait_exit(20) == DISK_FAILURE, daemon.log_tail()
    assert str(file) in daemon.log_tail() and "offset" in daemon.log_tail(), daemon.log_tail()


def test_stop_and_start_in_good_order(daemons):
    """SIGTERM ends it as the signal's death or with 0, at once, and nothing is lost."""
    daemon = daemons(quorate(), "member").start()
    for number in range(3):
        daemon.client.put(b"k%d" % number, b"v")
        before = read_contents(daemon.client)
        assert daemon.stop() in (0, -15)
        daemon.start()
        before.assert_equal(read_contents(daemon.client))
