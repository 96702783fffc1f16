"""What a watcher that is far behind does to writers: rate and latency of puts, without it and while it catches up.

Tests/Conformance/run behind [revisions [puts a second]]     (also: make bench-behind)

The watcher is a socket that throws away what it reads, pinned to one core, so that its own work counts as little as it can. Measured in
pairs, one without and one with it, on Quorate and on real etcd 3.5, and for so short a time that Quorate catches up in most of it; single
pairs say little on a machine with two cores, so the medians are what counts. Not a test: it takes a quiet machine. TMPDIR=/dev/shm keeps
the data in memory.
"""

import multiprocessing
import os
import pathlib
import socket
import statistics
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.load import on_each, put_load  # noqa: E402

PAIRS = 9
SECONDS = 2
LONGEST_CATCH_UP = 60
processes = multiprocessing.get_context("fork")


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header(name, value):
    """Literal, without indexing (RFC 7541, 6.2.2)."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def watch_request(authority):
    """A gRPC watch of all keys from revision 1 on, with windows so large that they need no updates."""
    create = b"\x0a\x01\x00" + b"\x12\x01\x00" + b"\x18\x01"
    message = b"\x0a" + bytes([len(create)]) + create
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/etcdserverpb.Watch/Watch"), (b":authority", authority)]
    fields += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
    settings = struct.pack(">HI", 4, (1 << 31) - 1)
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + frame(4, 0, 0, settings)
        + frame(8, 0, 0, struct.pack(">I", (1 << 31) - 1 - 65535))
        + frame(1, 4, 1, b"".join(header(*field) for field in fields))
        + frame(0, 0, 1, b"\0" + struct.pack(">I", len(message)) + message)
    )


def watch(port, wanted, seconds, took):
    """Reads on; notes when so many bytes of events had come, which is nearly all of history."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    room = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(seconds)
        began = time.monotonic()
        connection.sendall(watch_request(b"127.0.0.1"))
        seen = 0
        while seen < wanted:
            count = connection.recv_into(room)
            if count == 0:
                break
            seen += count
        took.value = time.monotonic() - began
        # From here on it hears of changes as they happen.
        connection.settimeout(None)
        while connection.recv_into(room):
            pass


def show(software, what, figures):
    rate, rate_beside, p50, p50_beside, p99, p99_beside, took = figures
    print(
        f"{software.name:10} {what:15}  puts/s {rate:8.0f} -> {rate_beside:8.0f}  p50 {p50:6.3f} -> {p50_beside:6.3f}"
        f"  p99 {p99:6.3f} -> {p99_beside:6.3f} ms  caught up in {took:.1f} s",
        flush=True,
    )


def measure(member, rate):
    pairs = []
    for _ in range(PAIRS):
        history = member.client.revision()
        alone = put_load(member.client_port, SECONDS, rate)
        took = processes.Value("d", 0)
        watcher = processes.Process(target=watch, args=(member.client_port, history * 280, LONGEST_CATCH_UP, took))
        watcher.start()
        beside = put_load(member.client_port, SECONDS, rate)
        watcher.join(0.1 if took.value else LONGEST_CATCH_UP)
        watcher.terminate()
        watcher.join()
        pairs.append([figures[name] for name in ("per_second", "p50_ms", "p99_ms") for figures in (alone, beside)] + [took.value])
        show(member.software, f"behind {history:8}", pairs[-1])
    show(member.software, "medians", [statistics.median(figures) for figures in zip(*pairs)])


if __name__ == "__main__":
    on_each(measure, revisions=500_000, rate=5000)
