"""What a compaction of a long history does to writers: rate and latency of puts, before it and while it removes what is old.

Tests/Conformance/run compaction [revisions [puts a second]]     (also: make bench-compaction)

On Quorate and on real etcd 3.5, in turn. Not a test: it takes a quiet machine. TMPDIR=/dev/shm keeps the data in memory.
"""

import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.client import message  # noqa: E402
from harness.load import on_each, put_load  # noqa: E402

SECONDS = 8
LONGEST_COMPACTION = 300


def compact(member, took):
    """Until nothing is left of what it removes."""
    began = time.monotonic()
    request = message((1, member.client.revision()), (2, True))
    member.client.call("KV/Compact", request, LONGEST_COMPACTION)
    took.append(time.monotonic() - began)


def measure(member, rate):
    alone = put_load(member.client_port, SECONDS, rate)
    took = []
    compaction = threading.Thread(target=compact, args=(member, took))
    compaction.start()
    beside = put_load(member.client_port, SECONDS, rate)
    compaction.join()
    figures = "  ".join(f"{name} {alone[name]:8.3f} -> {beside[name]:8.3f}" for name in ("per_second", "p50_ms", "p99_ms"))
    print(f"{member.software.name:10} {figures}  compacted in {took[0]:.1f} s", flush=True)


if __name__ == "__main__":
    on_each(measure, revisions=1_000_000, rate=3000)
