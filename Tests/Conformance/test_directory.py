"""One data directory under real etcd and the member under test in turn: nothing may change, and only one may hold it."""

import contextlib
import fcntl
import json
import re
import shutil
import signal
import struct
import subprocess

import pytest

from harness import releases
from harness.client import Client
from harness.contents import read_contents, refusal_below_compaction, write_history, write_large_values
from harness.daemon import Daemon, etcd, poll, quorate
from harness.protobuf import fields

SNAPSHOTS = ["--snapshot-count", "500"]
HISTORY = 11_500
# Above the snapshot count, so that snapshots are written.
MORE = 1_500
LEASES = range(1_000, 1_020)
TOOL_SECONDS = 60


def fill(client, large_values, operations=HISTORY):
    """Large values to begin another WAL segment, then revisions, half of them before a compaction, and leases with keys."""
    write_large_values(client, large_values)
    for id in LEASES:
        client.grant(3_600 + id, id)
    write_history(client, 1, operations // 6, LEASES)
    client.compact(client.revision() - 100)
    write_history(client, 2, operations - operations // 6, LEASES)
    for id in LEASES[::4]:
        client.call("Lease/LeaseRevoke", b"\x08" + bytes([id & 0x7F | 0x80, id >> 7]))


def copied(filled, target):
    # Sparse, because WAL segments are mostly zeros.
    subprocess.run(["cp", "-a", "--sparse=always", str(filled), str(target)], check=True)
    return target


class Filled:
    """A directory as a member left it, and what was in it."""

    def __init__(self, software, folder, large_values=66, operations=HISTORY):
        daemon = Daemon(software, folder, flags=SNAPSHOTS)
        try:
            daemon.start()
            fill(daemon.client, large_values, operations)
            self.contents = read_contents(daemon.client, every=1)
        finally:
            daemon.stop()
        self.daemon = daemon
        self.data_dir = daemon.data_dir

    def open(self, daemons, software, folder, **options):
        """A daemon on a copy of the directory, not started, with the addresses that the directory remembers."""
        daemon = daemons(software, folder, flags=SNAPSHOTS, **options)
        copied(self.data_dir, daemon.data_dir)
        daemon.client_port, daemon.peer_port = self.daemon.client_port, self.daemon.peer_port
        return daemon


@pytest.fixture(scope="module")
def by_etcd(reference, tmp_path_factory):
    folder = tmp_path_factory.mktemp("by-etcd")
    yield Filled(etcd(reference), folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def by_quorate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("by-quorate")
    yield Filled(quorate(), folder)
    shutil.rmtree(folder, ignore_errors=True)


def snapshots(daemon):
    return sorted((daemon.data_dir / "member" / "snap").glob("*.snap"))


def run(program, *arguments):
    command = [str(program), *(str(part) for part in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_SECONDS)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class TestBackAndForth:
    @pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
    def test_etcd_to_quorate_to_etcd(self, by_etcd, daemons, reference, ending):
        assert by_etcd.contents.revision > 10_000
        daemon = by_etcd.open(daemons, quorate(), "member").start()
        by_etcd.contents.assert_equal(read_contents(daemon.client, every=1 if ending == signal.SIGTERM else 25))
        assert "compacted" in refusal_below_compaction(daemon.client, by_etcd.contents.compact_revision).text

        before = snapshots(daemon)
        write_history(daemon.client, 3, MORE, LEASES[1:4])
        poll(lambda: snapshots(daemon) != before, 10, "a snapshot file is written")
        written = read_contents(daemon.client)
        daemon.stop(ending)

        daemon.become(etcd(reference)).start()
        written.assert_equal(read_contents(daemon.client))
        write_history(daemon.client, 4, MORE, LEASES[1:4])
        written = read_contents(daemon.client)
        daemon.stop(ending)

        daemon.become(quorate()).start()
        written.assert_equal(read_contents(daemon.client))

    def test_quorate_to_etcd_to_quorate(self, by_quorate, daemons, reference):
        daemon = by_quorate.open(daemons, etcd(reference), "member").start()
        by_quorate.contents.assert_equal(read_contents(daemon.client, every=1))
        write_history(daemon.client, 3, MORE, LEASES[1:4])
        daemon.client.compact(daemon.client.revision() - 500)
        written = read_contents(daemon.client)
        daemon.become(quorate()).start()
        written.assert_equal(read_contents(daemon.client))

    def test_the_whole_file_has_the_hash_it_had(self, daemons, reference):
        """Maintenance.Hash takes in all buckets, what a start writes included."""
        daemon = daemons(etcd(reference), "member").start()

        def hash():
            return dict(fields(daemon.client.call("Maintenance/Hash", b"")))[2]

        daemon.client.grant(1_000, 7)
        daemon.client.put(b"a", b"1", lease=7)
        daemon.client.put(b"a", b"2")
        expected = hash()
        # With leases Quorate leaves a record of its own in the file at a stop.
        for _ in range(2):
            daemon.become(quorate()).start()
            assert hash() == expected

    def test_quorate_to_quorate(self, by_quorate, daemons):
        daemon = by_quorate.open(daemons, quorate(), "member").start()
        by_quorate.contents.assert_equal(read_contents(daemon.client))

    @pytest.mark.parametrize("version", ["3.4", "3.5.1"])
    def test_older_releases(self, daemons, tmp_path, version):
        release = releases.newest(version) if version == "3.4" else releases.exact(version)
        if release is None:
            pytest.skip(f"no etcd {version} in ETCD_REFERENCE_DIR")
        filled = Filled(etcd(release), tmp_path / "old", large_values=0, operations=2_000)
        daemon = filled.open(daemons, quorate("3.5"), "member").start()
        filled.contents.assert_equal(read_contents(daemon.client))
        write_history(daemon.client, 3, MORE)


class TestOfflineTools:
    def test_snapshot_status_of_the_page_file(self, by_quorate, reference):
        status = json.loads(
            run(reference.etcdutl, "-w", "json", "snapshot", "status", by_quorate.data_dir / "member" / "snap" / "db")
        )
        assert status["revision"] == by_quorate.contents.revision
        assert status["totalKey"] > by_quorate.contents.revision - by_quorate.contents.compact_revision

    @pytest.mark.parametrize("source", ["etcd", "quorate"])
    def test_snapshot_and_restore(self, source, by_etcd, by_quorate, daemons, reference, tmp_path):
        """What either saves, etcdutl restores, and both start from."""
        filled, software = (by_etcd, etcd(reference)) if source == "etcd" else (by_quorate, quorate())
        daemon = filled.open(daemons, software, "source").start()
        backup = tmp_path / "backup.db"
        run(reference.etcdctl, "--endpoints", daemon.endpoint, "snapshot", "save", backup)
        daemon.stop()
        status = json.loads(run(reference.etcdutl, "-w", "json", "snapshot", "status", backup))
        assert status["revision"] == filled.contents.revision
        for software in (quorate(), etcd(reference)):
            restored = daemons(software, f"restored-{software}", name="restored")
            restored.flags = [*SNAPSHOTS, "--initial-cluster-token", "another"]
            run(
                reference.etcdutl, "snapshot", "restore", backup, "--data-dir", restored.data_dir, "--name", "restored",
                "--initial-cluster", f"restored={restored.peer_url}", "--initial-advertise-peer-urls", restored.peer_url,
                "--initial-cluster-token", "another",
            )  # fmt: skip
            restored.start()
            contents = read_contents(restored.client)
            # A new cluster with the same history.
            contents.members = filled.contents.members
            filled.contents.assert_equal(contents)
            write_history(restored.client, 5, MORE)
            restored.stop()

    def test_snapshot_over_the_api_is_the_page_file(self, by_quorate, daemons, reference, tmp_path):
        daemon = by_quorate.open(daemons, quorate(), "member").start()
        daemon.client.snapshot(tmp_path / "api.db")
        status = json.loads(run(reference.etcdutl, "-w", "json", "snapshot", "status", tmp_path / "api.db"))
        assert status["revision"] == by_quorate.contents.revision
        # 32 bytes of SHA-256 after whole pages.
        assert (tmp_path / "api.db").stat().st_size % 512 == 32

    def test_defragmentation(self, by_quorate, daemons, reference):
        daemon = by_quorate.open(daemons, quorate(), "member")
        page_file = daemon.data_dir / "member" / "snap" / "db"
        run(reference.etcdutl, "defrag", "--data-dir", daemon.data_dir)
        assert page_file.stat().st_size < 20_000_000
        for software in (quorate(), etcd(reference)):
            daemon.become(software).start()
            by_quorate.contents.assert_equal(read_contents(daemon.client))

    def test_backup(self, by_quorate, daemons, reference):
        """The legacy offline copy, started as a cluster of its own."""
        for software in (etcd(reference), quorate()):
            daemon = daemons(software, f"backup-{software}", flags=[*SNAPSHOTS, "--force-new-cluster"])
            run(reference.etcdutl, "backup", "--with-v3", "--data-dir", by_quorate.data_dir, "--backup-dir", daemon.data_dir)
            daemon.start()
            contents = read_contents(daemon.client)
            contents.members = by_quorate.contents.members
            by_quorate.contents.assert_equal(contents)
            daemon.stop()

    def test_hash_by_etcdutl(self, by_quorate):
        newer = [release for release in releases.available() if release.number >= (3, 6)]
        if not newer:
            pytest.skip("etcdutl hashkv came with 3.6, and no such release is in ETCD_REFERENCE_DIR")
        page_file = by_quorate.data_dir / "member" / "snap" / "db"
        printed = json.loads(run(newer[-1].etcdutl, "-w", "json", "hashkv", page_file))
        assert printed["hash"] == by_quorate.contents.hashes[by_quorate.contents.revision][0]


class TestLocks:
    """The page file is held by flock, WAL segments by open-file-description locks."""

    LOCKED = re.compile("lock", re.IGNORECASE)

    @staticmethod
    def last_segment(daemon):
        return sorted((daemon.data_dir / "member" / "wal").glob("*.wal"))[-1]

    @staticmethod
    def range_lock(file):
        """A write lock over all of the file, as struct flock on 64-bit Linux."""
        return fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhxxxxqqixxxx", fcntl.F_WRLCK, 0, 0, 0, 0))

    def expect_refusal(self, intruder):
        """It says why, and does not serve; etcd itself waits 10 s before it speaks."""
        poll(
            lambda: self.LOCKED.search(intruder.log_text()),
            20,
            lambda: f"{intruder.software} speaks of a lock:\n{intruder.log_tail()}",
            0.1,
        )
        with Client(intruder.endpoint, timeout=0.5) as client:
            assert not isinstance(client.outcome("KV/Range", b"\x0a\x01a"), bytes)

    def expect_exclusion(self, held, intruders, tool):
        assert b"waiting for etcd to close and release its lock" in tool.stderr.readline()
        page_file = held.data_dir / "member" / "snap" / "db"
        for path, lock in [
            (page_file, lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)),
            (page_file, lambda file: fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)),
            (self.last_segment(held), self.range_lock),
        ]:
            with open(path, "r+b") as file, pytest.raises(BlockingIOError):
                lock(file)
        for intruder in intruders:
            self.expect_refusal(intruder)
        assert tool.poll() is None
        held.client.put(b"a", b"2")

    def test_a_running_member_keeps_everybody_out(self, daemons, reference):
        """Held by real etcd and by the member under test: both, and etcdutl, must stay out."""
        software = [etcd(reference), quorate()]
        with contextlib.ExitStack() as stack:
            cases = []
            for holder in software:
                held = daemons(holder, f"held-by-{holder}").start()
                held.client.put(b"a", b"1")
                intruders = [daemons(each, f"{each}-against-{holder}", data_dir=held.data_dir).spawn() for each in software]
                command = [str(reference.etcdutl), "defrag", "--data-dir", str(held.data_dir)]
                tool = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
                stack.callback(tool.communicate)
                stack.callback(tool.kill)
                cases.append((held, intruders, tool))
            for case in cases:
                self.expect_exclusion(*case)
            for _, intruders, _ in cases:
                for intruder in intruders:
                    intruder.kill()
        for held, _, _ in cases:
            held.stop()
            # With the holder gone all is free again.
            for each in software:
                held.become(each).start()
                assert held.client.get(b"a") == b"2"
            held.stop()

    def test_a_tool_on_the_page_file_keeps_the_member_out(self, daemons):
        daemon = daemons(quorate(), "member").start()
        daemon.stop()
        with open(daemon.data_dir / "member" / "snap" / "db", "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            daemon.log.unlink()
            daemon.spawn()
            self.expect_refusal(daemon)
        daemon.kill()
        daemon.start()

    def test_a_holder_of_the_log_keeps_the_member_out(self, daemons):
        daemon = daemons(quorate(), "member").start()
        daemon.stop()
        with open(self.last_segment(daemon), "r+b") as file:
            self.range_lock(file)
            daemon.log.unlink()
            daemon.spawn()
            assert daemon.wait_exit(20) not in (0, None)
            assert self.LOCKED.search(daemon.log_text()), daemon.log_tail()
        daemon.start()
