"""What one big reader does to the others: the latency of gets, and the lateness of keep-alives, while a client lists everything.

Tests/Conformance/run reads [megabytes]     (also: make bench-reads)

Twice: at the newest revision, and at a pinned past one while keys are written and deleted. Not a test: it takes room and a quiet machine.
"""

import multiprocessing
import pathlib
import random
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.client import ALL_KEYS, Client, message, operation, put_request, txn_request  # noqa: E402
from harness.daemon import Daemon, quorate  # noqa: E402

# A forked process cannot use gRPC where its parent has.
processes = multiprocessing.get_context("spawn")
VALUE = 4096
BATCH = 100
GET_SECONDS = 5


def fill(client, megabytes):
    count = megabytes * 1024 * 1024 // VALUE
    for start in range(0, count, BATCH):
        puts = [put_request(b"k%08d" % number, random.randbytes(VALUE)) for number in range(start, min(start + BATCH, count))]
        client.call("KV/Txn", txn_request(success=[operation(put=put) for put in puts]))
    return count


def lister(endpoint, revision, stop, lists):
    with Client(endpoint, timeout=300) as client:
        while not stop.is_set():
            client.call("KV/Range", message((1, ALL_KEYS[0]), (2, ALL_KEYS[1]), (4, revision), (7, True)), 300)
            with lists.get_lock():
                lists.value += 1


def writer(endpoint, count, stop):
    with Client(endpoint) as client:
        while not stop.is_set():
            key = b"k%08d" % random.randrange(count)
            client.put(key, b"new")
            client.delete(key)


def get_latencies(endpoint, count, seconds):
    """Of single gets one after the other, in milliseconds."""
    taken = []
    with Client(endpoint) as client:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            client.range(b"k%08d" % random.randrange(count))
            taken.append((time.monotonic() - began) * 1000)
    return sorted(taken)


def renewals(endpoint, lease, stop, worst):
    """The longest that a renewal took, in seconds."""
    with Client(endpoint) as client:
        while not stop.is_set():
            began = time.monotonic()
            client.lease(lease)
            worst.value = max(worst.value, time.monotonic() - began)
            time.sleep(0.05)


def shown(name, latencies):
    quantile = lambda part: latencies[min(len(latencies) - 1, int(part * len(latencies)))]  # noqa: E731
    print(f"{name:42} gets {len(latencies):6}  p50 {quantile(0.5):7.3f} ms  p99 {quantile(0.99):7.3f} ms", flush=True)
    return quantile(0.99)


def with_others(member, count, revision, writes, name, alone):
    stop, lists, worst = processes.Event(), processes.Value("i", 0), processes.Value("d", 0)
    others = [processes.Process(target=lister, args=(member.endpoint, revision, stop, lists))]
    others.append(processes.Process(target=renewals, args=(member.endpoint, 7, stop, worst)))
    if writes:
        others.append(processes.Process(target=writer, args=(member.endpoint, count, stop)))
    for other in others:
        other.start()
    time.sleep(1)
    latencies = get_latencies(member.endpoint, count, GET_SECONDS)
    stop.set()
    for other in others:
        other.join(300)
    p99 = shown(name, latencies)
    print(f"{'':42} p99 {p99 / alone:.2f} times alone, {lists.value} lists, slowest lease answer {worst.value * 1000:.1f} ms", flush=True)


def main():
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    with tempfile.TemporaryDirectory(prefix="quorate-reads-") as folder:
        flags = ["--quota-backend-bytes", str(8 << 30), "--max-txn-ops", "1000"]
        member = Daemon(quorate(), pathlib.Path(folder) / "member", flags=flags).start()
        try:
            count = fill(member.client, megabytes)
            member.client.grant(3600, 7)
            revision = member.client.revision()
            print(f"{count} keys of {VALUE} bytes", flush=True)
            alone = shown("nobody else", get_latencies(member.endpoint, count, GET_SECONDS))
            with_others(member, count, 0, False, "one client lists all", alone)
            with_others(member, count, revision, True, "one lists a past revision, one writes", alone)
        finally:
            member.stop()


if __name__ == "__main__":
    main()
