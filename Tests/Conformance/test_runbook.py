"""Every page of the runbook: its commands do what it says."""

import json
import pathlib
import re
import subprocess

import grpc
import pytest

from harness import web
from harness.client import put_request
from harness.daemon import poll
from harness.deployment import binary_under_test
from harness.runbook import PAGES, Hosts, blocks

# No false elections on a busy machine, and true ones soon.
TIMING = {"heartbeat-interval": 50, "election-timeout": 500}
THREE = ["node1", "node2", "node3"]
CORRUPT, REMOVED, IO_ERROR = 65, 76, 74


@pytest.fixture
def hosts(daemons, reference, tmp_path):
    made = Hosts(daemons, reference, tmp_path)
    yield made
    made.close()


@pytest.fixture
def found(hosts, reference):
    """Founds a cluster from a word: "qee" is one Quorate and two of real etcd."""

    def make(word, **settings):
        programs = {"q": binary_under_test(), "e": reference.etcd}
        hosts.found([programs[each] for each in word], **TIMING, **settings)
        hosts.ctl("put", "before", "1")
        return hosts

    return make


def test_every_page_is_listed_and_tested():
    pages = {page.name for page in PAGES.glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", (PAGES / "README.md").read_text())) == pages
    tests = pathlib.Path(__file__).read_text()
    assert not [page for page in pages if f'"{page}"' not in tests]
    for page in PAGES.glob("*.md"):
        for target, anchor in re.findall(r"\]\(([\w-]+\.md)(?:#([\w-]+))?\)", page.read_text()):
            assert (PAGES / target).exists()
            headings = {block.section.lower().replace(" ", "-") for block in blocks(target)}
            assert not anchor or anchor in headings, (page.name, target, anchor)


def test_swap_in_and_out(found):
    hosts = found("eee")
    page = "swap-in-and-out.md"
    hosts.run(page, "")
    for section in ("In", "Out"):
        for number, name in enumerate(THREE):
            hosts.run(page, section, node1=name)
            hosts.ctl("put", f"{section}{number}", name)
            swapped = THREE[: number + 1]
            for each in THREE:
                runs = hosts[each].etcd.readlink() == pathlib.Path(binary_under_test())
                assert runs == ((each in swapped) == (section == "In"))
    hosts.agree(THREE, before="1", In0="node1", In2="node3", Out2="node3")


# What the page is for takes five seconds a member.
@pytest.mark.parametrize("word, count", [("e", 3), pytest.param("q", 5, marks=pytest.mark.slow)])
def test_grow_and_shrink(found, word, count):
    """Quorate members join one of either kind."""
    hosts = found(word)
    page = "grow-and-shrink.md"
    hosts.run(page, "")
    names = list(hosts.hosts)[:count]
    for name in names[1:]:
        hosts[name].install(binary_under_test())
        hosts.run(page, "Grow", node2=name)
    hosts.ctl("put", "grown", "5")
    hosts.agree(names, before="1", grown="5")
    for name in reversed(names[1:]):
        assert f"ExecMainStatus={REMOVED}" in hosts.run(page, "Shrink", node2=name)
        assert "the member has been permanently removed from the cluster" in hosts[name].daemon.log_text()
    hosts.agree(["node1"], before="1", grown="5")


@pytest.mark.parametrize("word", ["eqq", pytest.param("eeq", marks=pytest.mark.slow)])
def test_learner(found, word):
    hosts = found(word)
    hosts["node4"].install(binary_under_test())
    printed = hosts.run("learner.md")
    assert "promoted in cluster" in printed
    hosts.agree([*THREE, "node4"], before="1")


@pytest.mark.parametrize("word", ["eeq", pytest.param("qqq", marks=pytest.mark.slow)])
def test_replace_a_dead_member(found, word):
    hosts = found(word)
    hosts["node3"].daemon.kill()
    hosts.ctl("put", "meanwhile", "2")
    hosts["node4"].install(binary_under_test())
    hosts.run("replace-a-dead-member.md")
    hosts.agree(["node1", "node2", "node4"], before="1", meanwhile="2")


def test_move_a_member(found):
    hosts = found("eqq")
    hosts.run("move-a-member.md")
    hosts.ctl("put", "moved", "3")
    hosts.agree(THREE, before="1", moved="3")
    assert hosts.here("http://10.0.8.13:2380") in hosts.ctl("member", "list")


def test_raise_the_version(found):
    """`auto` keeps what the directory says, until told otherwise."""
    hosts = found("qqq", **{"compatibility-version": '"3.5"'})
    page = "raise-the-version.md"
    for name in THREE:
        configuration = hosts[name].configuration
        configuration.write_text(configuration.read_text().replace('compatibility-version: "3.5"\n', ""))
    hosts.run(page, "")
    for name in THREE:
        await_cluster_version(hosts["node1"], "3.5.0")
        hosts.run(page, "One member", node1=name)
    await_cluster_version(hosts["node1"], "3.6.0")
    assert '"etcdcluster":"3.6.0"' in hosts.run(page, "When all are done")
    for name in THREE:
        hosts[name].daemon.stop()
        configuration = hosts[name].configuration
        configuration.write_text(configuration.read_text().replace('compatibility-version: "3.6"\n', ""))
        hosts[name].start()
    hosts.agree(THREE, before="1")
    assert versions(hosts["node1"])["etcdserver"].startswith("3.6.")


def versions(host):
    return json.loads(web.request(int(host.client_url.rpartition(":")[2]), "/version").text)


def await_cluster_version(host, version):
    """Leaders look every four seconds."""
    poll(lambda: versions(host)["etcdcluster"] == version, 20, f"the cluster is of version {version}", 0.1)


class TestRestore:
    PAGE = "backup-and-restore.md"

    def test_backup_and_restore(self, found):
        hosts = found("qeq")
        hosts.run(self.PAGE, "")
        assert "TOTAL KEYS" in hosts.run(self.PAGE, "Backup")
        hosts.ctl("put", "lost", "2")
        hosts.run(self.PAGE, "Restore")
        hosts.agree(THREE, before="1")
        assert hosts.ctl("get", "lost") == ""
        # The backup was made at revision 2.
        assert '"Revision" : 1000000002\n' in hosts.ctl("get", "before", "-w", "fields")

    def test_quorum_lost_and_restored(self, found):
        hosts = self._without_quorum(found, **{"compatibility-version": '"3.5"'})
        hosts.run("quorum-lost.md", "")
        for name in THREE[1:]:
            (hosts[name].data / "member").rename(hosts[name].folder / "lost")
            (hosts[name].data / "member").mkdir()
        hosts.run(self.PAGE, "")
        hosts.run(self.PAGE, "Restore")
        hosts.agree(THREE, before="1")
        # As the page has it; without the setting it would be 3.6.
        await_cluster_version(hosts["node1"], "3.5.0")

    def _without_quorum(self, found, **settings):
        hosts = found("qqq", **settings)
        for name in THREE[1:]:
            hosts[name].daemon.kill()
        return hosts

    def test_quorum_lost_and_forced(self, found):
        hosts = self._without_quorum(found)
        hosts.run("quorum-lost.md")
        hosts.agree(["node1"], before="1")
        assert "force-new-cluster" not in hosts["node1"].configuration.read_text()
        hosts["node4"].install(binary_under_test())
        hosts.run("grow-and-shrink.md", "")
        hosts.run("grow-and-shrink.md", "Grow", node2="node4")
        hosts.agree(["node1", "node4"], before="1")


def test_no_space(found):
    hosts = found("qqq", **{"quota-backend-bytes": 16 << 20})
    client = hosts["node1"].daemon.client
    with pytest.raises(grpc.RpcError) as error:
        for number in range(100):
            client.call("KV/Put", put_request(b"key%d" % (number % 3), b"x" * (1 << 20)))
    assert error.value.details() == "etcdserver: mvcc: database space exceeded"
    printed = hosts.run("nospace.md")
    assert "alarm:NOSPACE" in printed and "compacted revision" in printed
    hosts.ctl("put", "after", "1")
    assert hosts.ctl("alarm", "list") == ""
    hosts.agree(THREE, before="1", after="1")


def test_full_disk(hosts, found, tmp_path):
    library = tmp_path / "full_disk.so"
    source = pathlib.Path(__file__).parent / "harness" / "full_disk.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, timeout=60)
    host = hosts["node1"]
    host.daemon.environment = {"LD_PRELOAD": str(library), "FULL_DISK": str(host.data)}
    found("qqq")
    (host.data / "full").mkdir()
    hosts.ctl("put", "while full", "2", members=[hosts["node2"]])
    assert host.daemon.wait_exit(30) == IO_ERROR
    assert "no space left on device" in host.daemon.log_text().lower()
    seen = len(host.daemon.log_text())
    host.start()
    assert host.daemon.wait_exit(30) == IO_ERROR
    assert "no space left on device" in host.daemon.log_text(seen).lower()
    hosts.run("full-disk.md")
    hosts.agree(THREE, before="1", **{"while full": "2"})


@pytest.mark.parametrize("found_out", ["at start", "at a compaction"])
def test_corrupt_member(found, found_out):
    settings = {"compact-hash-check-time": "1s"}
    if found_out == "at a compaction":
        settings["feature-gates"] = "InitialCorruptCheck=false"
    hosts = found("qqq", **settings)
    hosts.ctl("put", "victim", "right value")
    for number in range(10):
        hosts.ctl("put", "k", str(number))
    host = hosts["node3"]
    host.daemon.stop()
    file = host.data / "member" / "snap" / "db"
    content = file.read_bytes()
    assert b"right value" in content
    file.write_bytes(content.replace(b"right value", b"wrong value"))
    host.start()
    if found_out == "at start":
        assert host.daemon.wait_exit(30) == CORRUPT
        assert "found data inconsistency with peers" in host.daemon.log_text()
    else:
        host.await_listener(20)
        hosts.ctl("endpoint", "health", members=[host])
        hosts.ctl("compact", "8")
        poll(lambda: "CORRUPT" in hosts.ctl("alarm", "list", members=[hosts["node1"]]), 20, "the alarm is raised", 0.2)
    printed = hosts.run("corrupt-member.md")
    assert ("alarm:CORRUPT" in printed) == (found_out == "at a compaction")
    hosts.ctl("put", "after", "1")
    assert hosts.ctl("alarm", "list") == ""
    hosts.agree(THREE, before="1", after="1", victim="right value")


def test_removed_member(found):
    hosts = found("eqq")
    id = re.search(r"^(\w+), started, node3,", hosts.ctl("member", "list"), re.MULTILINE)[1]
    others = [hosts["node1"], hosts["node2"]]
    hosts.ctl("member", "remove", id, members=others)
    host = hosts["node3"]
    assert host.daemon.wait_exit(30) == REMOVED
    # By hand, with its old directory.
    seen = len(host.daemon.log_text())
    host.start()
    assert f"ExecMainStatus={REMOVED}" in hosts.run("removed-member.md")
    assert "the member has been permanently removed from the cluster" in host.daemon.log_text(seen)
    poll(lambda: host.daemon.process.poll() is None, 5, "the member runs")
    hosts.agree(THREE, before="1")
