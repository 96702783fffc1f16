"""`quorate check DATA-DIR` on directories that real etcd wrote."""

import json
import os
import shutil
import subprocess

import pytest

from harness import releases
from harness.daemon import etcd, quorate
from harness.protobuf import message

TOOL_SECONDS = 60
IN_USE = 75


def check(path, *words):
    command = [os.environ["QUORATE_BINARY"], "check", str(path), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=TOOL_SECONDS)


def facts(path):
    done = check(path, "-w", "json")
    return done.returncode, json.loads(done.stdout)


def contents(path):
    """Every byte, and when it was last changed."""
    return {each: (each.stat().st_mtime_ns, each.read_bytes()) for each in path.rglob("*") if each.is_file()}


def openable(found):
    return {release: verdict["openable"] for release, verdict in found["openableBy"].items()}


@pytest.mark.parametrize("release", releases.available(), ids=lambda each: each.version)
def test_directories_of_etcd_are_described(daemons, release):
    theirs = daemons(etcd(release), "theirs", flags=["--snapshot-count", "50"])
    theirs.start()
    for number in range(120):
        theirs.client.put(b"k%d" % (number % 7), b"x" * 100)
    theirs.client.grant(3600)
    theirs.client.compact(100)
    revision = theirs.client.revision()
    done = check(theirs.data_dir)
    assert done.returncode == IN_USE and "quorate member" in done.stdout, (done.stdout, done.stderr)
    theirs.stop()
    before = contents(theirs.data_dir)
    code, found = facts(theirs.data_dir)
    assert (code, found["startable"], found["refusals"], found["notes"]) == (0, True, [], []), found
    line = release.version.rsplit(".", 1)[0]
    assert found["clusterVersion"] == f"{line}.0"
    assert openable(found) == {"3.5": True, "3.6": line == "3.5", "3.7": False}
    pages, log = found["pageFile"], found["log"]
    assert (pages["revision"], pages["compactRevision"], pages["leases"], pages["alarms"]) == (revision, 100, 1, [])
    assert not pages["authenticationEnabled"] and pages["unknownBuckets"] == []
    assert log["snapshotIndex"] > 50 and log["lastIndex"] >= log["commit"] >= pages["appliedIndex"] > log["snapshotIndex"]
    assert [member["id"] for member in found["members"]] == [log["member"]] and not found["jointConfiguration"]
    # Whoever starts it as another release is told what the start would say: of 3.4 that is for the other members to tell.
    started = {version: check(theirs.data_dir, "--compatibility-version", version) for version in ("auto", "3.5", "3.6", "3.7")}
    assert {version: done.returncode for version, done in started.items() if done.returncode} == ({"3.7": 1} if line == "3.5" else {})
    refusal = "the cluster is of version 3.5.0, this member behaves as 3.7.0, and etcd is upgraded one release at a time"
    assert (refusal in started["3.7"].stdout) == (line == "3.5"), started["3.7"].stdout
    text = check(theirs.data_dir).stdout
    assert "quorate member   yes\n" in text and f"cluster version  {line}.0\n" in text
    assert contents(theirs.data_dir) == before
    # It is as it says.
    theirs.become(quorate()).start()
    assert theirs.client.revision() == revision


def auth(client):
    """Users root and guest, role root, authentication on."""
    client.call("Auth/UserAdd", message((1, b"root"), (2, b"secret")))
    client.call("Auth/UserAdd", message((1, b"guest"), (2, b"secret")))
    client.call("Auth/RoleAdd", message((1, b"root")))
    client.call("Auth/UserGrantRole", message((1, b"root"), (2, b"root")))
    client.call("Auth/AuthEnable", b"")


def test_what_would_be_refused_is_said_before(daemons, reference, tmp_path):
    theirs = daemons(etcd(reference), "theirs")
    theirs.start()
    theirs.client.put(b"a", b"b")
    auth(theirs.client)
    theirs.stop()
    code, found = facts(theirs.data_dir)
    assert code == 1 and not found["startable"], found
    assert "authentication" in found["refusals"][0]
    assert found["pageFile"]["users"] == 2 and found["pageFile"]["roles"] == 1
    assert found["log"]["authenticationRequests"] == 5 and openable(found)["3.5"]
    assert check(theirs.data_dir).returncode == 1
    # Damage is named with its place, and changes nothing about what can be said of the rest.
    for victim, name in (("db", "/snap/db"), ("wal", ".wal")):
        broken = tmp_path / f"broken-{victim}"
        shutil.copytree(theirs.data_dir, broken)
        file = next(broken.rglob("*.wal")) if victim == "wal" else broken / "member" / "snap" / "db"
        content = bytearray(file.read_bytes())
        if victim == "wal":
            content[300] ^= 0xFF
        else:
            content[: 2 * 4096] = b"\xff" * (2 * 4096)
        file.write_bytes(content)
        code, found = facts(broken)
        assert code == 1 and any(name in refusal for refusal in found["refusals"]), found


def test_wrong_words(tmp_path):
    for words in (["--nonsense"], ["-w", "xml"], ["--compatibility-version", "3.4"]):
        assert check(tmp_path, *words).returncode == 2
    done = check(tmp_path)
    assert done.returncode == 1 and "holds no data of a member" in done.stderr
    assert check("--help").returncode == 0 and "usage: quorate check DATA-DIR" in check("--help").stdout
