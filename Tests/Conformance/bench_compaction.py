"""What a compaction of a long history does to writers: rate and latency of puts, before it and while it removes what is old.

Tests/Conformance/run compaction [revisions [puts a second]]     (also: make bench-compaction)

On Quorate and on real etcd 3.5, in turn. Not a test: it takes a quiet machine. TMPDIR=/dev/shm keeps the data in memory.
"""

import pathlib
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import releases  # noqa: E402
from harness.client import message  # noqa: E402
from harness.daemon import Daemon, etcd, quorate  # noqa: E402
from harness.load import fill, put_load  # noqa: E402

SECONDS = 8
LONGEST_COMPACTION = 300


def compact(member, took):
    """Until nothing is left of what it removes."""
    began = time.monotonic()
    request = message((1, member.client.revision()), (2, True))
    member.client.call("KV/Compact", request, LONGEST_COMPACTION)
    took.append(time.monotonic() - began)


def measure(software, revisions, rate, folder):
    member = Daemon(software, pathlib.Path(folder) / software.name, flags=["--quota-backend-bytes", str(8 << 30)]).start()
    try:
        fill(member, revisions)
        alone = put_load(member.client_port, SECONDS, rate)
        took = []
        compaction = threading.Thread(target=compact, args=(member, took))
        compaction.start()
        beside = put_load(member.client_port, SECONDS, rate)
        compaction.join()
        figures = "  ".join(f"{name} {alone[name]:8.3f} -> {beside[name]:8.3f}" for name in ("per_second", "p50_ms", "p99_ms"))
        print(f"{software.name:10} {figures}  compacted in {took[0]:.1f} s", flush=True)
    finally:
        member.stop()


def main():
    revisions = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 3000
    with tempfile.TemporaryDirectory(prefix="quorate-compaction-") as folder:
        for software in [quorate(), etcd(releases.newest("3.5"))]:
            measure(software, revisions, rate, folder)


if __name__ == "__main__":
    main()
