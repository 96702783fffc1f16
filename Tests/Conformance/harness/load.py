"""The load generator of the project's benchmarks, for what is measured and not tested."""

import json
import pathlib
import subprocess
import sys
import tempfile

from . import releases
from .daemon import Daemon, etcd, quorate

BENCH = releases.ROOT / ".build" / "release" / "quorate-bench"


def put_load(port, seconds, rate=None):
    """What 50 clients on 10 connections saw, who put 100,000 keys in turn, so many a second when told."""
    command = [BENCH, "put-load", "127.0.0.1", port, 10, 50, seconds] + ([rate] if rate else [])
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds + 60, check=True)
    return json.loads(result.stdout)


def fill(member, revisions):
    while member.client.revision() < revisions:
        put_load(member.client_port, 2)


def on_each(measure, revisions, rate):
    """Calls measure(member, rate) with Quorate and real etcd 3.5 in turn, each with so many revisions.

    What the command line gives counts more: [revisions [puts a second]].
    """
    given = [int(argument) for argument in sys.argv[1:]]
    revisions, rate = given + [revisions, rate][len(given) :]
    with tempfile.TemporaryDirectory(prefix="quorate-bench-") as folder:
        for software in [quorate(), etcd(releases.newest("3.5"))]:
            member = Daemon(software, pathlib.Path(folder) / software.name, flags=["--quota-backend-bytes", str(8 << 30)])
            try:
                fill(member.start(), revisions)
                measure(member, rate)
            finally:
                member.stop()
