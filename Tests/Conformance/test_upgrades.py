"""Clusters that go from one line of etcd releases to the next and back, with real etcd of these lines where ETCD_REFERENCE_DIR has them."""

import itertools
import json

import pytest

from harness import releases, web
from harness.cluster import Cluster, Load, write
from harness.daemon import etcd, poll, quorate
from harness.protobuf import fields, message

# Of Maintenance.Downgrade.
VALIDATE, ENABLE, CANCEL = range(3)
OFTEN = ["--snapshot-count", "500", "--experimental-snapshot-catchup-entries", "50"]


def software(kind, line):
    """Of a line; "e" is real etcd."""
    if kind == "q":
        return quorate(line)
    if (release := releases.newest(line)) is None:
        pytest.skip(f"no etcd {line} in ETCD_REFERENCE_DIR")
    return etcd(release)


def versions(member):
    return json.loads(web.request(member.client_port, "/version").body)["etcdcluster"]


class Rolling:
    """A cluster whose members are replaced one by one under load. The tools are those of the highest line."""

    def __init__(self, daemons, word, line, tools):
        self.word = word
        self.cluster = Cluster(daemons, [software(kind, line) for kind in word], tools, OFTEN).start()
        self.load = Load(self.cluster, b"load")
        self.load.start()

    def go(self, line):
        for kind, member in zip(self.word, self.cluster.members):
            member.become(software(kind, line)).start()
            before = len(self.load.acknowledged)
            poll(lambda before=before: len(self.load.acknowledged) > before + 20, 30, "writes go on")

    def await_version(self, version):
        poll(lambda: {versions(each) for each in self.cluster.members} == {version}, 30,
             lambda: f"the cluster is of version {version}: {[versions(each) for each in self.cluster.members]}", 0.2)  # fmt: skip

    def storage(self):
        return {each.client.status().get("storage_version") for each in self.cluster.members}

    def downgrade(self, action, target=b""):
        """The reply's bytes, or the Outcome of a failed call. Not every release's etcdctl can ask for it."""
        return self.cluster[0].client.outcome("Maintenance/Downgrade", message((1, action), (2, target)))

    def await_storage(self, version):
        poll(lambda: self.storage() == {version.encode()}, 20, self.storage, 0.2)

    def await_the_end_of_the_downgrade(self):
        # Until then another one is refused.
        poll(lambda: isinstance(self.downgrade(VALIDATE, b"3.4"), bytes), 20, "the leader sees that all have followed", 0.5)

    def finish(self):
        self.load.stop()
        for each in self.cluster.settle().members:
            self.load.check(each)
        assert len(self.cluster.member_lists()) == len(self.word)


@pytest.mark.parametrize("word", ["qqq", "qee", "qqe"])
def test_up_and_down_by_one_release(daemons, reference, word):
    """3.5 to 3.6, and by `downgrade enable` back to 3.5; whoever leads, all follow."""
    tools = releases.newest("3.6") or reference
    rolling = Rolling(daemons, word, "3.5", tools)
    cluster = rolling.cluster
    rolling.await_version("3.5.0")
    rolling.go("3.6")
    rolling.await_version("3.6.0")
    rolling.await_storage("3.6.0")
    for leader in sorted({word.index(kind) for kind in word}):
        cluster.lead(cluster[leader])
        assert isinstance(rolling.downgrade(ENABLE, b"3.5"), bytes)
        rolling.await_version("3.5.0")
        rolling.await_storage("3.5.0")
        assert isinstance(rolling.downgrade(CANCEL), bytes)
        rolling.await_version("3.6.0")
        rolling.await_storage("3.6.0")
    assert isinstance(rolling.downgrade(ENABLE, b"3.5"), bytes)
    rolling.await_version("3.5.0")
    rolling.await_storage("3.5.0")
    rolling.go("3.5")
    write(cluster[0], 600)
    rolling.finish()
    # The way up is open again.
    rolling.await_the_end_of_the_downgrade()
    rolling.load = Load(cluster, b"again")
    rolling.load.start()
    rolling.go("3.6")
    rolling.await_version("3.6.0")
    rolling.finish()


@pytest.mark.parametrize("word", ["qqq", "qee"])
def test_up_and_down_between_3_6_and_3_7(daemons, reference, word):
    tools = releases.newest("3.7") or reference
    rolling = Rolling(daemons, word, "3.6", tools)
    cluster = rolling.cluster
    rolling.await_version("3.6.0")
    # Entries of 3.6 stand before a snapshot.
    write(cluster[0], 600)
    rolling.go("3.7")
    rolling.await_version("3.7.0")
    cluster.lead(cluster[0])
    assert isinstance(rolling.downgrade(ENABLE, b"3.6"), bytes)
    rolling.await_version("3.6.0")
    rolling.await_storage("3.6.0")
    rolling.go("3.6")
    rolling.finish()


@pytest.mark.parametrize("line", ["3.6", "3.7"])
@pytest.mark.parametrize("leader, behind", [(0, 1), (1, 0)])
def test_databases_are_sent_both_ways(daemons, line, leader, behind):
    """A member that was left behind gets a snapshot, from Quorate and from real etcd, and one that joins as a learner too."""
    cluster = Cluster(daemons, [software(kind, line) for kind in "qee"], releases.newest(line), OFTEN).start()
    cluster.leave_behind(cluster[behind], cluster[leader])
    learner = cluster.add(software("eq"[behind == 0], line), learner=True)
    poll(lambda: cluster.is_serving(learner), 30, "the learner serves")
    poll(lambda: cluster.tries("member", "promote", f"{cluster.id(learner):x}"), 30, "the learner is promoted", 0.2)
    learner.wait_ready()
    cluster.remove(cluster[-2])
    cluster.leader()
    write(cluster[leader], 600)
    for each in cluster.members:
        each.stop()
        each.start()
    cluster.settle()
    assert len(cluster.member_lists()) == 3


@pytest.mark.parametrize("line", ["3.5", "3.6", "3.7"])
def test_downgrades_are_answered_as_by_etcd(daemons, line):
    members = [daemons(software(kind, line), kind).start() for kind in "eq"]
    for each in members:
        poll(lambda each=each: versions(each) == line + ".0", 20, "the cluster's version is decided")

    def pages():
        """But for releases and Quorate's own field."""
        found = [json.loads(web.request(each.client_port, "/version").body) for each in members]
        return [{name: value for name, value in page.items() if name not in ("etcdserver", "quorate")} for page in found]

    # The storage version follows the cluster's some time later.
    poll(lambda: pages()[0] == pages()[1], 20, pages)

    def answer(member, action, target):
        outcome = member.client.outcome("Maintenance/Downgrade", message((1, action), (2, target)))
        return dict(fields(outcome))[2] if isinstance(outcome, bytes) else outcome

    below = b"3.%d" % (int(line[2:]) - 1)
    targets = [b"", b"x", b"3", b"3.x", b"4.0", line.encode(), b"3.3", below, below + b".0", below + b".9"]
    for action, target in [*itertools.product([VALIDATE, 7], targets), (ENABLE, b"3.1"), (CANCEL, b""), (CANCEL, b"x")]:
        expected, found = (answer(each, action, target) for each in members)
        assert expected == found, (action, target)
