"""Three members beside three of real etcd, with the same timeouts.

Tests/Conformance/run failover [rounds]      seconds from kill -9 of the leader to the first acknowledged write
Tests/Conformance/run catchup [megabytes [rounds]]    seconds until a fourth member serves, and how long puts take meanwhile

Not tests: they take room and a quiet machine.
"""

import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import grpc  # noqa: E402

from harness import releases  # noqa: E402
from harness.client import Client, operation, put_request, txn_request  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.daemon import Daemon, etcd, kill_all, poll, quorate  # noqa: E402

# Defaults of both.
TIMING = ["--heartbeat-interval", "100", "--election-timeout", "1000"]
ASKING = 0.01
VALUE = 64 << 10
# With their keys they stay below the largest request.
BATCH = 16
# What fills the database is in no log any more when somebody joins, and puts that come during a transfer are still there after it.
FLAGS = ["--snapshot-count", "1000", "--quota-backend-bytes", str(8 << 30)]
# Quorate keeps between one and two times the catch-up entries.
SMALL_PUTS = 3 * 5000


class Founded:
    """`with Founded(software) as cluster`: three members, gone afterwards."""

    def __init__(self, software, release, flags=()):
        self.software, self.release, self.flags = software, release, flags
        self.made = []

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="quorate-cluster-")

        def make(software, folder, **options):
            self.made.append(Daemon(software, pathlib.Path(self.folder.name) / folder, **options))
            return self.made[-1]

        return Cluster(make, [self.software] * 3, self.release, self.flags, timing=TIMING).start()

    def __exit__(self, *_):
        kill_all(self.made)
        self.folder.cleanup()


def until_a_write(members):
    """Sends a write to each every few milliseconds, until the first is acknowledged: those before it may be lost with the leader."""
    began, done = time.monotonic(), threading.Event()
    ended = []

    def note(future):
        if future.exception() is None and not done.is_set():
            ended.append(time.monotonic())
            done.set()

    count = 0
    clients = [Client(each.endpoint) for each in members]
    while not done.wait(ASKING):
        assert time.monotonic() - began < 30, "nobody took over"
        for client in clients:
            count += 1
            client.start("KV/Put", put_request(b"probe", b"%d" % count)).add_done_callback(note)
    for client in clients:
        client.close()
    return min(ended) - began


def failover(rounds=5):
    means = {}
    release = releases.newest("3.5")
    for software in (quorate(), etcd(release)):
        with Founded(software, release) as cluster:
            taken = []
            for _ in range(rounds):
                leader = cluster.leader()
                # Anywhere between two heartbeats.
                time.sleep(1 + random.uniform(0, 0.1))
                leader.kill()
                taken.append(until_a_write(cluster.running))
                leader.start()
                cluster.settle()
        means[software.name] = sum(taken) / rounds
        shown = " ".join(f"{each:.2f}" for each in sorted(taken))
        print(f"{software.name:12} mean {means[software.name]:.2f} s, median {sorted(taken)[rounds // 2]:.2f} s: {shown}", flush=True)
    ours, theirs = means.values()
    print(f"ratio of the means {ours / theirs:.2f}")


class Puts(threading.Thread):
    """Small puts one after the other through one member."""

    def __init__(self, endpoint):
        super().__init__(daemon=True)
        self.endpoint = endpoint
        self.taken = []
        self.failed = 0
        self.finished = threading.Event()

    def run(self):
        with Client(self.endpoint) as client:
            while not self.finished.wait(0.005):
                began = time.monotonic()
                try:
                    client.put(b"meanwhile", b"x" * 100)
                    self.taken.append((time.monotonic() - began) * 1000)
                except grpc.RpcError:
                    self.failed += 1

    def shown(self):
        self.finished.set()
        self.join(15)
        ordered = sorted(self.taken)
        self.p99 = ordered[len(ordered) * 99 // 100]
        return f"puts {len(ordered)}, p50 {ordered[len(ordered) // 2]:.1f} ms, p99 {self.p99:.1f} ms, failed {self.failed}"


def fill(client, megabytes):
    for start in range(0, (megabytes << 20) // VALUE, BATCH):
        puts = [operation(put=put_request(b"k%08d" % (start + at), random.randbytes(VALUE))) for at in range(BATCH)]
        client.call("KV/Txn", txn_request(success=puts), 60)
    for _ in range(0, SMALL_PUTS, 100):
        for future in [client.start("KV/Put", put_request(b"small", b"x")) for _ in range(100)]:
            future.result()


def join(cluster, software):
    """Seconds until a fourth member serves, and the puts meanwhile; it is removed again."""
    leader = cluster.leader()
    alone = Puts(leader.endpoint)
    alone.start()
    time.sleep(3)
    alone.shown()
    puts = Puts(leader.endpoint)
    puts.start()
    new = cluster.add(software)
    began = time.monotonic()
    poll(lambda: isinstance(new.client.outcome("KV/Range", b"\x0a\x01k", timeout=1), bytes), 300, "the new member serves")
    taken = time.monotonic() - began
    shown = puts.shown()
    assert "received and saved database snapshot" in new.log_text(), "it caught up from the log"
    cluster.remove(new)
    new.kill()
    shutil.rmtree(new.data_dir)
    print(f"{software.name:12} serves after {taken:.2f} s; {shown}; before: p99 {alone.p99:.1f} ms", flush=True)
    return taken, puts.p99


def catch_up(megabytes=1024, rounds=3):
    """Both clusters are there all the time, and take turns."""
    release = releases.newest("3.5")
    softwares = [quorate(), etcd(release)]
    taken = {each.name: [] for each in softwares}
    with Founded(softwares[0], release, FLAGS) as ours, Founded(softwares[1], release, FLAGS) as theirs:
        for cluster in (ours, theirs):
            fill(cluster.leader().client, megabytes)
            cluster.settle()
        for _ in range(rounds):
            for software, cluster in zip(softwares, (ours, theirs)):
                taken[software.name].append(join(cluster, software))
    medians = [[sorted(column)[rounds // 2] for column in zip(*taken[each.name])] for each in softwares]
    print("ratio of the medians: {:.2f}, of the p99 {:.2f}".format(*(ours / theirs for ours, theirs in zip(*medians))))


def main():
    what, amounts = sys.argv[1], [int(each) for each in sys.argv[2:]]
    if what == "failover":
        failover(*amounts)
    else:
        catch_up(*amounts)


if __name__ == "__main__":
    main()
