"""A disk that hangs: the member cannot go on, and says so instead of keeping everybody waiting."""

import json
import pathlib
import subprocess
import threading

import grpc
import pytest

from harness import web
from harness.client import put_request
from harness.daemon import poll, quorate


@pytest.fixture
def hanging(daemons, tmp_path):
    """A member, and the file whose existence stops its syncs."""
    library = tmp_path / "hanging_disk.so"
    source = pathlib.Path(__file__).parent / "harness" / "hanging_disk.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, timeout=60)
    sign = tmp_path / "hang"
    environment = {"LD_PRELOAD": str(library), "HANGING_DISK": str(sign)}
    member = daemons(quorate(), "member", environment=environment).start()
    yield member, sign
    sign.unlink(missing_ok=True)


def health(member):
    return web.request(member.client_port, "/health")


def test_a_hung_disk_is_told_and_healed(hanging):
    member, sign = hanging
    member.client.put(b"a", b"1")
    poll(lambda: health(member).status == 200, 10, "ready")
    sign.touch()
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
    sign.unlink()
    poll(lambda: health(member).status == 200, 10, "health turns true")
    writer.join(20)
    assert not writer.is_alive()
    # The write that was on its way may have been told to have timed out; it is in the log all the same.
    assert member.client.get(b"a") == b"2"
    member.client.put(b"b", b"1")
