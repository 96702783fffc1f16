"""A disk that hangs: the member cannot go on, and says so instead of keeping everybody waiting."""

import json
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
