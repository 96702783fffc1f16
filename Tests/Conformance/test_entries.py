"""Every kind of entry that real etcd writes, applied from its log, and logs and directories that are refused by name."""

import json
import os
import shutil
import subprocess

import pytest

from harness import releases, wal, web
from harness.client import delete_request, operation, put_request, range_request, txn_request
from harness.cluster import Cluster
from harness.contents import read_contents
from harness.daemon import etcd, poll, quorate
from harness.protobuf import embedded, message

CONFIGURATION = 1
ADD, REMOVE = 1, 2
# Fields of etcdserverpb.InternalRaftRequest.
LEASE_CHECKPOINT, VERSION_SET, ATTRIBUTES_SET, DOWNGRADE_SET = 11, 1300, 1301, 1302


def page_file(data_dir):
    return data_dir / "member" / "snap" / "db"


def authentication(client):
    """Users and roles with what they may do."""
    for request in (
        ("UserAdd", message((1, b"root"), (2, b"secret"))), ("UserAdd", message((1, b"guest"), (2, b"secret"))),
        ("UserAdd", message((1, b"gone"), (2, b"secret"))), ("RoleAdd", message((1, b"root"))),
        ("RoleAdd", message((1, b"writer"))), ("RoleAdd", message((1, b"gone"))),
        ("RoleGrantPermission", message((1, b"writer"), (2, message((1, 2), (2, b"a/"), (3, b"a0"))))),
        ("RoleGrantPermission", message((1, b"writer"), (2, message((1, 1), (2, b"c"))))),
        ("RoleRevokePermission", message((1, b"writer"), (2, b"c"))),
        ("UserGrantRole", message((1, b"root"), (2, b"root"))), ("UserGrantRole", message((1, b"guest"), (2, b"writer"))),
        ("UserGrantRole", message((1, b"guest"), (2, b"gone"))), ("UserRevokeRole", message((1, b"guest"), (2, b"gone"))),
        ("UserChangePassword", message((1, b"guest"), (2, b"other"))), ("UserDelete", message((1, b"gone"))),
        ("RoleDelete", message((1, b"gone"))), ("AuthEnable", b""),
    ):  # fmt: skip
        client.call("Auth/" + request[0], request[1])


def write_everything(member, ctl):
    client = member.client
    for number in range(50):
        client.put(b"k%d" % (number % 7), b"%d" % number)
    client.delete(b"k1", b"k3")
    # A compare that fails, a nested transaction, a range that etcd's followers would drop, deletions.
    client.call("KV/Txn", txn_request(success=[
        operation(put=put_request(b"t", b"1")), operation(range=range_request(b"k", b"l")),
        operation(txn=txn_request(success=[operation(delete=delete_request(b"k4")), operation(put=put_request(b"u", b"2"))])),
    ]))  # fmt: skip
    client.grant(3600, 70)
    client.grant(3600, 71)
    client.put(b"leased", b"1", lease=70)
    client.put(b"revoked", b"1", lease=71)
    client.call("Lease/LeaseRevoke", message((1, 71)))
    client.compact(30)
    authentication(client)
    ctl("--user", "root:secret", "put", "a/1", "by root")
    ctl("--user", "guest:other", "put", "a/2", "by guest")
    ctl("--user", "root:secret", "auth", "disable")
    id = member.client.status()["header"]["member_id"]
    ctl("member", "update", f"{id:x}", f"--peer-urls={member.peer_url},http://127.0.0.1:1")
    for which in (0, 1):
        client.call("Maintenance/Alarm", message((1, 1), (2, 77 + which), (3, 1)))
    assert "space exceeded" in ctl("put", "refused", "1", fails=True)
    client.call("Maintenance/Alarm", message((1, 2), (2, 77), (3, 1)))


def state(member, ctl):
    """What clients and operators get to see. Only etcd answers for users and roles."""
    seen = [ctl("alarm", "list"), ctl("member", "list")]
    if member.software.release:
        seen += [ctl("user", "list"), ctl("role", "list")]
        seen += [ctl("user", "get", user) for user in ("root", "guest")] + [ctl("role", "get", role) for role in ("root", "writer")]
    return seen


def test_every_kind_of_entry_of_etcd_is_applied(daemons, reference, tmp_path):
    """The page file of the beginning, and the log up to the end."""
    member = daemons(etcd(reference), "member").start()
    cluster = Cluster(daemons, [], reference)

    def ctl(*words, fails=False):
        return cluster.ctl(*words, member=member, fails=fails)

    member.client.put(b"first", b"1")
    member.stop()
    shutil.copy(page_file(member.data_dir), tmp_path / "db")
    member.start()
    write_everything(member, ctl)
    expected, seen = read_contents(member.client, every=1), state(member, ctl)
    hash_of_all = member.client.hash_kv()
    member.stop()
    kinds = {number for _, data in wal.entries(member.data_dir) for number in wal.fields_of(data)}
    # Requests of keys, leases, alarms and users; the bare v2 ones are those that do not parse.
    assert {4, 5, 6, 7, 8, 9, 10, 1000, 1011, 1100, 1200} <= kinds
    shutil.copy(tmp_path / "db", page_file(member.data_dir))

    member.become(quorate()).start()
    expected.assert_equal(read_contents(member.client, every=1))
    assert member.client.hash_kv() == hash_of_all
    assert state(member, ctl) == seen[:2]
    member.become(etcd(reference)).start()
    expected.assert_equal(read_contents(member.client, every=1))
    assert state(member, ctl) == seen


def newer(field, data):
    """A request of a kind that 3.5 does not write by itself."""
    return wal.NORMAL, message((100, message((1, field)))) + embedded(field, data)


def test_entries_of_newer_releases_and_checkpoints_are_applied(daemons, reference):
    """Written by the wire format: no release at hand writes them within seconds."""
    reference_flags = ["--experimental-enable-lease-checkpoint", "--experimental-enable-lease-checkpoint-persist"]
    member = daemons(etcd(reference), "member").start()
    member.client.grant(3600, 7)
    member.client.grant(3600, 8)
    member.client.put(b"leased", b"1", lease=7)
    id = member.client.status()["header"]["member_id"]
    member.stop()
    checkpoint = message((1, message((1, 7), (2, 1000))))
    wal.append(member.data_dir, [newer(LEASE_CHECKPOINT, checkpoint)])
    theirs = daemons(etcd(reference), "theirs", flags=reference_flags)
    shutil.copytree(member.data_dir, theirs.data_dir)
    theirs.initial_cluster = f"{theirs.name}={member.peer_url}"
    theirs.software.require(theirs.flags)
    theirs.start()
    left = theirs.client.lease(7)["ttl"]
    theirs.stop()
    assert 900 < left <= 1000
    wal.append(member.data_dir, [
        newer(VERSION_SET, message((1, b"3.6.0"))),
        newer(ATTRIBUTES_SET, message((1, id), (2, message((1, b"renamed"), (2, b"http://127.0.0.1:1"))))),
        newer(DOWNGRADE_SET, message((1, True), (2, b"3.5.0"))), newer(DOWNGRADE_SET, b""),
    ])  # fmt: skip
    # Those that are committed count, and nothing is written.
    assert [each["name"] for each in check(member.data_dir)[1]["members"]] == ["renamed"]
    member.become(quorate("3.6")).start()
    assert abs(member.client.lease(7)["ttl"] - left) < 60 and member.client.lease(8)["ttl"] > 3500
    assert version(member) == "3.6.0"
    member.stop()
    code, found = check(member.data_dir)
    assert code == 0 and found["clusterVersion"] == "3.6.0" and found["pageFile"]["downgradeTarget"] is None


def version(member):
    return json.loads(web.request(member.client_port, "/version").text)["etcdcluster"]


# MARK: refusals


def check(data_dir, version="auto"):
    command = [os.environ["QUORATE_BINARY"], "check", str(data_dir), "-w", "json", "--compatibility-version", version]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


def logged(data_dir):
    return {path.name: path.read_bytes() for path in (data_dir / "member" / "wal").glob("*.wal")}


def refused(member, reason, checked=True):
    """It does not start, says why, and has proposed nothing; `quorate check` has said so before."""
    before = logged(member.data_dir)
    if checked:
        code, found = check(member.data_dir)
        assert code == 1 and any(reason in each for each in found["refusals"]), found
    seen = len(member.log_text())
    member.spawn()
    assert member.wait_exit(30) == CONFIGURATION, member.log_tail()
    assert reason in member.log_text(seen), member.log_tail()
    after = logged(member.data_dir)
    assert before.keys() == after.keys() and all(before[name] == after[name] for name in before)


@pytest.fixture
def stopped(daemons, reference):
    """A member of etcd 3.5 with a little in it, and stopped."""

    def make(*flags):
        member = daemons(etcd(reference), "stopped", flags=list(flags)).start()
        for number in range(30):
            member.client.put(b"k", b"%d" % number)
        return member

    return make


def test_keys_of_the_v2_api(stopped):
    member = stopped("--enable-v2", "--snapshot-count", "100")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert web.request(member.client_port, "/v2/keys/a", "PUT", "value=1", form).status == 201
    member.become(quorate())
    member.flags = []
    refused(member, "a v2 write to /1/a")
    # The same by a snapshot.
    member.become(etcd(releases.newest("3.5")))
    member.flags = ["--snapshot-count", "10"]
    member.start()
    for number in range(60):
        member.client.put(b"k", b"%d" % number)
    member.become(quorate())
    member.flags = []
    refused(member, "1 keys of users of the v2 API")
    assert check(member.data_dir)[1]["log"]["userV2Keys"] == 1


def test_joint_configurations(stopped):
    member = stopped("--snapshot-count", "10")
    member.become(quorate())
    member.flags = []
    copy = member.data_dir.with_name("copy")
    shutil.copytree(member.data_dir, copy)
    steps = embedded(2, message((1, 0), (2, 5))) + embedded(2, message((1, 0), (2, 6)))
    index = wal.append(member.data_dir, [(wal.CHANGE_V2, message((1, 2)) + steps)])
    refused(member, f"entry {index}: a joint change of the configuration")
    shutil.rmtree(member.data_dir)
    copy.rename(member.data_dir)
    wal.edit_snapshot(member.data_dir, lambda conf_state: conf_state + message((3, 5)))
    refused(member, "the newest snapshot is of a joint configuration")
    assert check(member.data_dir)[1]["jointConfiguration"]


def test_a_log_of_3_5_for_3_7(stopped):
    """3.7 cannot read the bare v2 requests of 3.5; once a snapshot stands before them nobody has to."""
    if releases.line != "3.5":
        pytest.skip("the log is to be one of 3.5")
    member = stopped()
    member.become(quorate("3.7"))
    refused(member, "etcd is upgraded one release at a time", checked=False)
    member.become(quorate("3.6")).start()
    poll(lambda: version(member) == "3.6.0", 20, "the cluster is of version 3.6")
    member.become(quorate("3.7"))
    refused(member, "v2 requests of etcd 3.5, which members of 3.7 cannot read", checked=False)
    code, found = check(member.data_dir)
    assert code == 0 and not found["openableBy"]["3.7"]["openable"]
    code, found = check(member.data_dir, "3.7")
    assert code == 1 and "v2 requests of etcd 3.5, which members of 3.7 cannot read" in found["refusals"][0], found
    member.software = quorate("3.6")
    member.flags = ["--snapshot-count", "10"]
    member.start()
    for number in range(30):
        member.client.put(b"k", b"%d" % number)
    poll(lambda: check_after_copy(member) == 0, 20, "a snapshot is written", 0.2)
    member.become(quorate("3.7")).start()
    poll(lambda: version(member) == "3.7.0", 20, "the cluster is of version 3.7")
    # And not back.
    member.become(quorate("3.6"))
    refused(member, "the cluster is of version 3.7.0, and this member behaves as 3.6.0", checked=False)


def check_after_copy(member):
    """Bare v2 requests after the newest snapshot of a running member's log."""
    copy = member.folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(member.data_dir, copy)
    return check(copy)[1]["log"]["v2Requests"]


def test_releases_that_do_not_fit_into_one_cluster(daemons, reference):
    cluster = Cluster(daemons, [quorate("3.7"), quorate("3.6")], reference)
    first, second = cluster.members
    second.software = quorate("3.5")
    first.spawn()
    poll(lambda: answers(first), 30, "the first is there")
    second.spawn()
    assert second.wait_exit(30) == CONFIGURATION
    assert "members of 3.7 and of 3.5 do not fit into one cluster" in second.log_text(), second.log_tail()


def answers(member):
    try:
        return web.request(member.peer_port, "/version").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("line, reason", [("3.4", "a member runs etcd 3.4, and 3.5 is the lowest there is"), ("3.5", "do not fit")])
def test_a_running_cluster_of_another_release(daemons, line, reason):
    """Swapped in, and joining: 3.4 with anything, 3.5 with 3.7."""
    release = releases.newest(line)
    if release is None:
        pytest.skip(f"no etcd {line} in ETCD_REFERENCE_DIR")
    cluster = Cluster(daemons, [etcd(release)] * 3, release).start()
    cluster.leader()
    member = cluster[0]
    if line == "3.5":
        # The page file of a cluster that has not agreed on a version yet would say nothing.
        reason = "etcd is upgraded one release at a time"
        member.become(quorate("3.7"))
    else:
        member.become(quorate("auto"))
    refused(member, reason, checked=False)
    member.software = etcd(release)
    member.start()
    ours = quorate("3.7" if line == "3.5" else "3.5")
    joining = cluster.add(ours)
    assert joining.wait_exit(30) == CONFIGURATION
    text = joining.log_text()
    assert "incompatible with current running cluster" in text, text
    assert ("3.5 is the lowest there is" if line == "3.4" else "do not fit into one cluster") in text, text
