"""The load generator of the project's benchmarks, for what is measured and not tested."""

import json
import subprocess

from . import releases

BENCH = releases.ROOT / ".build" / "release" / "quorate-bench"


def put_load(port, seconds, rate=None):
    """What 50 clients on 10 connections saw, who put 100,000 keys in turn, so many a second when told."""
    command = [BENCH, "put-load", "127.0.0.1", port, 10, 50, seconds] + ([rate] if rate else [])
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds + 60, check=True)
    return json.loads(result.stdout)


def fill(member, revisions):
    while member.client.revision() < revisions:
        put_load(member.client_port, 2)
