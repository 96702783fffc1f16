"""The same random requests to real etcd and to the member under test: every answer, every error and every hash must be the same.

A failure names its seed and the step. More of them:
`Tests/Conformance/run test_differential.py --seeds 5 --first-seed 17 --steps 400 -m ""`.
"""

import hashlib
import itertools

import grpc
import pytest

from harness.client import Outcome, decode, operation, put_request, range_request, txn_request
from harness.cluster import Cluster
from harness.daemon import etcd, poll, quorate
from harness.operations import NOSPACE, Operation, Operations
from harness.protobuf import fields, message

QUOTA = 1_300_000
FLAGS = ["--quota-backend-bytes", str(QUOTA)]


def comparable(operation, outcome):
    """What must be the same on both sides: of headers the revision alone, and of leases not the time that is left."""
    if isinstance(outcome, Outcome):
        return outcome
    parts = []
    for field, value in fields(outcome):
        if field == 1 and operation.method != "Lease/LeaseTimeToLive":
            parts.append((1, decode(value, {3: "revision"})))
        elif operation.method == "Lease/LeaseTimeToLive" and field in (1, 3):
            parts.append((field, "ends" if field == 3 and value >= 1 << 63 else None))
        else:
            parts.append((field, value))
    if operation.method in ("Lease/LeaseLeases", "Lease/LeaseTimeToLive"):
        # In etcd these come out of a hash table.
        parts.sort(key=str)
    return parts


def shown(parts):
    """Short enough to be printed."""
    text = str(parts)
    return text if len(text) < 2000 else f"{text[:1000]}... {len(text)} characters, {hashlib.sha256(text.encode()).hexdigest()}"


class Comparison:
    """Two clients that are asked the same."""

    def __init__(self, seed, reference, ours, release):
        self.seed = seed
        self.release = release
        self.operations = Operations(seed)
        self.clients = (reference, ours)
        self.step = 0
        self.history = []

    def ask(self, operation):
        self.step += 1
        self.history.append(str(operation))
        futures = [client.start(operation.method, operation.request) for client in self.clients]
        outcomes = [outcome_of(future) for future in futures]
        expected, found = (comparable(operation, outcome) for outcome in outcomes)
        assert expected == found or self.differs_by_release(operation) or self.explain(operation, expected, found)
        if isinstance(outcomes[0], bytes):
            self.operations.saw(operation, outcomes[0])
        return outcomes[0]

    def differs_by_release(self, operation):
        return knows_no_compaction_hashes(self.release) and asks_for_hash(operation, self.operations.compacted)

    def explain(self, operation, expected, found):
        pytest.fail(
            f"seed {self.seed}, step {self.step}, revision {self.operations.revision}, compacted {self.operations.compacted}\n"
            f"{operation}\netcd: {shown(expected)}\nours: {shown(found)}\nbefore: " + "\n".join(self.history[-6:-1]),
            pytrace=False,
        )

    def random_steps(self, count):
        for _ in range(count):
            self.ask(self.operations.next())

    def without_space(self, count):
        """Over the quota: what is refused, what is not, and what the alarms say."""
        for operation in self.operations.lift_alarms():
            self.ask(operation)
        full = self.ask(self.operations.too_much())
        assert isinstance(full, Outcome) and full.code == "RESOURCE_EXHAUSTED", full
        # Each raises the alarm through its log, some time after it answered.
        poll(lambda: all(is_raised(client) for client in self.clients), 20, "both raise NOSPACE")
        for _ in range(count):
            operation = self.operations.next()
            if operation.method != "Maintenance/Alarm":
                self.ask(operation)

    def finish(self):
        """Hashes at several revisions, and the whole history that is left."""
        first = max(self.operations.compacted, 1)
        last = self.operations.revision
        for revision in sorted({0, first, last, *(self.operations.random.randint(first, last) for _ in range(4))}):
            self.ask(hash_at(revision))
        histories = [client.history(first + 1, last) for client in self.clients]
        assert len(histories[0]) == len(histories[1]), f"seed {self.seed}"
        for expected, found in zip(*histories, strict=True):
            assert expected == found or pytest.fail(f"seed {self.seed}: {shown(expected)} {shown(found)}", pytrace=False)


def knows_no_compaction_hashes(release):
    """Up to 3.5.9 etcd refuses to hash at the revision that was compacted last, and earlier ones keep no hashes of those before it."""
    return release.number < (3, 5, 10)


def asks_for_hash(operation, compacted):
    return operation.method == "Maintenance/HashKV" and 0 < dict(fields(operation.request)).get(1, 0) <= compacted


def hash_at(revision):
    return Operation("Maintenance/HashKV", message((1, revision)))


def outcome_of(future):
    try:
        return future.result()
    except grpc.RpcError as error:
        return Outcome(error.code().name, error.details())


def is_raised(client):
    alarms = [dict(fields(value)) for field, value in fields(client.call("Maintenance/Alarm", b"")) if field == 2]
    return any(alarm.get(2) == NOSPACE for alarm in alarms)


@pytest.fixture
def compare(daemons, reference):
    """Runs one seed from its start on a fresh pair of members."""

    def run(seed, steps):
        made = [
            daemons(etcd(reference), f"reference-{seed}", flags=FLAGS),
            daemons(quorate(), f"ours-{seed}", flags=FLAGS),
        ]  # fmt: skip
        for each in made:
            each.start()
        comparison = Comparison(seed, *(each.client for each in made), reference)
        comparison.random_steps(steps)
        comparison.finish()
        comparison.without_space(steps // 6)
        comparison.finish()
        for each in made:
            each.kill()
        return comparison

    return run


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_member_answers_as_etcd(compare, seed):
    compare(seed, 350)


def test_of_several_faults_of_a_transaction_the_same_is_told(both):
    """Releases look for them in different orders: run --line 3.6, --line 3.7."""
    leaseless = operation(put=put_request(b"a", b"1", lease=0x77))
    valueless = operation(put=message((1, b"b"), (5, True)))
    both_faults = operation(put=message((1, b"c"), (3, 0x77), (5, True)))
    future = operation(range=range_request(b"a", revision=1000))
    faults = [leaseless, valueless, both_faults, future]
    pairs = list(itertools.permutations(faults, 2))
    nested = [[operation(txn=txn_request(success=[one])), other] for one, other in pairs]
    for parts in [[both_faults], *pairs, *nested]:
        found = both.each(lambda daemon, parts=parts: daemon.client.outcome("KV/Txn", txn_request(success=parts)))
        assert isinstance(found.ours, Outcome) and found.ours == found.reference, parts


def mix(daemons, reference, word, seed, steps):
    """Random requests to the members of a mixed cluster in turn; in the end all hold the same."""
    members = [quorate() if each == "q" else etcd(reference) for each in word]
    cluster = Cluster(daemons, members, reference, flags=FLAGS).start()
    operations = Operations(seed)
    for _ in range(steps):
        # In etcd the members that were not asked leave out the ranges of a transaction, and with them that one of them names a
        # revision that is gone or to come: they write what the member that was asked refuses. Clusters of etcd alone part so.
        member = operations.random.choice(cluster.members)
        operations.past_in_txns = member.software.release is None
        operation = operations.next()
        outcome = member.client.outcome(operation.method, operation.request)
        if isinstance(outcome, bytes):
            operations.saw(operation, outcome)
    cluster.settle()
    revision = cluster[0].client.revision()
    assert revision > steps / 10, f"seed {seed}: hardly anything was written"
    for at in sorted({operations.compacted, (operations.compacted + revision) // 2, revision} - {0}):
        asked = hash_at(at)
        if knows_no_compaction_hashes(reference) and asks_for_hash(asked, operations.compacted):
            continue
        answers = [comparable(asked, each.client.outcome(asked.method, asked.request)) for each in cluster.members]
        assert answers.count(answers[0]) == len(answers), f"seed {seed}, revision {at}: {answers}"


@pytest.mark.parametrize("word, seed", [("qee", 14), ("qqe", 12)])
def test_members_of_a_mixed_cluster_stay_equal(daemons, reference, word, seed):
    mix(daemons, reference, word, seed, 300)


@pytest.mark.slow
def test_many_seeds(compare, pytestconfig):
    first = pytestconfig.getoption("--first-seed")
    for seed in range(first, first + pytestconfig.getoption("--seeds")):
        compare(seed, pytestconfig.getoption("--steps"))


@pytest.mark.slow
@pytest.mark.parametrize("word", ["qee", "qqe"])
def test_many_seeds_in_a_mixed_cluster(daemons, reference, word, pytestconfig):
    mix(daemons, reference, word, pytestconfig.getoption("--first-seed"), 10 * pytestconfig.getoption("--steps"))
