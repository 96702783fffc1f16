"""A disk that hangs: the member cannot go on, and says so instead of keeping everybody waiting."""

import contextlib
import json
import os
import pathlib
import tempfile
import threading

import grpc
import pytest

from harness import web
from harness.client import put_request
from harness.daemon import poll, quorate
from harness.faults import Faults, library


@pytest.fixture
def hanging(daemons, tmp_path):
    """A member, and what stops its syncs."""
    member = daemons(quorate(), "member")
    disk = Faults(member, library(tmp_path))
    member.start()
    yield member, disk
    disk.end()


def health(member):
    return web.request(member.client_port, "/health")


def test_a_hung_disk_is_told_and_healed(hanging):
    member, disk = hanging
    member.client.put(b"a", b"1")
    poll(lambda: health(member).status == 200, 10, "ready")
    disk.begin("hang")
    outcome = []
    writer = threading.Thread(target=lambda: outcome.append(member.client.outcome("KV/Put", put_request(b"a", b"2"))))
    writer.start()
    reply = poll(lambda: (r := health(member)).status == 503 and r, 10, "health turns false")
    assert json.loads(reply.text)["reason"].startswith("STALLED: waiting for the disk for ")
    assert web.request(member.client_port, "/health?serializable=true").status == 200
    assert "[-]linearizable_read failed: STALLED" in web.request(member.client_port, "/readyz").text
    assert web.request(member.client_port, "/livez").status == 200
    assert member.client.range(b"a", serializable=True)["kvs"][0]["value"] == b"1"
    for refused in (lambda: member.client.put(b"b", b"1"), lambda: member.client.range(b"a")):
        with pytest.raises(grpc.RpcError) as error:
            refused()
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        assert error.value.details() == "etcdserver: no leader"
    disk.end()
    poll(lambda: health(member).status == 200, 10, "health turns true")
    writer.join(20)
    assert not writer.is_alive()
    # The write that was on its way may have been told to have timed out; it is in the log all the same.
    assert member.client.get(b"a") == b"2"
    member.client.put(b"b", b"1")


@pytest.fixture
def quick(daemons, tmp_path):
    """A member whose log is in memory where there is room, and what stops its syncs."""
    memory = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="quorate-", dir=memory if memory.is_dir() else tmp_path) as log:
        member = daemons(quorate(), "quick", flags=["--wal-dir", log])
        disk = Faults(member, library(tmp_path))
        member.start()
        yield member, disk
        disk.end()
        member.stop()


def test_nobody_but_a_lone_writer_waits_for_its_disk(quick):
    """Its puts are written by the event loop that received them; that loop is nobody else's as long as it may hang."""
    member, disk = quick
    poll(lambda: health(member).status == 200, 10, "ready")
    # On another loop than the writer, even of two.
    early = member.client
    early.get(b"a")
    with member.connect() as writer:
        waiting = hung_write(writer, disk)
        # As many as there are loops at most, so that each would get some.
        for _ in range(8):
            assert web.request(member.client_port, "/health?serializable=true", timeout=5).status == 200
        reply = poll(lambda: (r := health(member)).status == 503 and r, 10, "health turns false")
        assert json.loads(reply.text)["reason"].startswith("STALLED: waiting for the disk for ")
        for _ in range(8):
            assert web.request(member.client_port, "/health", timeout=5).status == 503
            with member.connect(5) as late:
                assert late.range(b"a", serializable=True)["kvs"][0]["value"] == b"299"
        assert early.range(b"a", serializable=True)["kvs"][0]["value"] == b"299"
        disk.end()
        assert waiting.result(30) is not None
        poll(lambda: health(member).status == 200, 10, "health turns true")
        assert early.get(b"a") == b"last"


def hung_write(writer, disk):
    """A put whose sync hangs on the event loop that received it; on a busy machine the member's thread takes over some such writes."""
    for _ in range(20):
        for number in range(300):
            writer.put(b"a", b"%d" % number)
        disk.begin("hang", ".wal")
        waiting = writer.start("KV/Put", put_request(b"a", b"last"), 30)
        thread = poll(lambda: disk.content("hung"), 10, "a sync hangs")
        if thread.startswith("NIO") or os.cpu_count() == 1:
            return waiting
        disk.end()
        assert waiting.result(30) is not None
    pytest.fail("the member thread has taken over such writes: this test would show nothing")


def test_a_writer_that_shares_its_loop_does_not_make_it_wait(quick):
    member, disk = quick
    poll(lambda: health(member).status == 200, 10, "ready")
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(member.connect()) for _ in range(8)]
        for other in others:
            other.get(b"a")
        writer = stack.enter_context(member.connect())
        for number in range(300):
            writer.put(b"a", b"%d" % number)
        disk.begin("hang", ".wal")
        waiting = writer.start("KV/Put", put_request(b"a", b"last"), 30)
        assert poll(lambda: disk.content("hung"), 10, "a sync hangs") == "member"
        for other in others:
            assert other.range(b"a", serializable=True)["kvs"][0]["value"] == b"299"
        disk.end()
        assert waiting.result(30) is not None
