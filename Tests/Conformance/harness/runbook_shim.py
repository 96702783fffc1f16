#!/usr/bin/env python3
"""What stands for programs on the runbook's hosts, by the name it is called under.

`systemctl` asks the test. `etcdctl` is the real one, asked again while the cluster is on its way, as the pages tell their
readers to. `curl` is for machines that have none.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

PATIENCE_SECONDS = 45
#: What the pages say to try again after, and what a member that has just been started says.
PASSING = (
    "unhealthy cluster", "not enough started members", "in sync with leader", "no leader", "leader changed", "deadline exceeded",
    "connection refused", "request timed out", "too many learner", "is unhealthy",
)  # fmt: skip


def systemctl(words):
    with socket.create_connection(("127.0.0.1", int(os.environ["RUNBOOK_UNITS"])), timeout=60) as connection:
        connection.sendall(json.dumps([os.environ["RUNBOOK_HOST"], *words]).encode() + b"\n")
        status, text = json.loads(connection.makefile().read())
    print(text, end="", file=sys.stderr if status else sys.stdout)
    return status


def etcdctl(words):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        done = subprocess.run([os.environ["RUNBOOK_ETCDCTL"], *words], capture_output=True, text=True)
        passes = any(text in done.stderr + done.stdout for text in PASSING)
        if done.returncode == 0 or not passes or time.monotonic() > deadline:
            print(done.stdout, end="")
            print(done.stderr, end="", file=sys.stderr)
            return done.returncode
        time.sleep(0.3)


def curl(words):
    print(urllib.request.urlopen(words[-1], timeout=10).read().decode(), end="")
    return 0


if __name__ == "__main__":
    sys.exit({"systemctl": systemctl, "etcdctl": etcdctl, "curl": curl}[os.path.basename(sys.argv[0])](sys.argv[1:]))
