"""Filling a member with history, and reading back all of it in a form that can be compared."""

import hashlib
import random
from collections import deque
from dataclasses import dataclass

from .client import ALL_KEYS, Outcome, delete_request, operation, put_request, range_request, txn_request, without_header
from .protobuf import message

IN_FLIGHT = 64


def pipelined(calls):
    """Sends requests with a bounded number in flight; yields the replies in the order of the requests.

    `calls` yields futures as they are wanted.
    """
    waiting = deque()
    for future in calls:
        waiting.append(future)
        if len(waiting) == IN_FLIGHT:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def write_history(client, seed, operations, leases=()):
    """Random puts, deletions and transactions over a few hundred keys; about 60 bytes each. One revision or none each."""
    random_source = random.Random(seed)
    keys = [b"dir%d/key-%03d" % (index % 5, index) for index in range(200)]

    def put(key, number):
        lease = random_source.choice(leases) if leases and random_source.random() < 0.1 else 0
        return put_request(key, b"value %d of %s" % (number, key), lease)

    def calls():
        for number in range(operations):
            key = random_source.choice(keys)
            kind = random_source.random()
            if kind < 0.6:
                yield client.start("KV/Put", put(key, number))
            elif kind < 0.75:
                yield client.start("KV/DeleteRange", delete_request(key))
            elif kind < 0.77:
                yield client.start("KV/DeleteRange", delete_request(key, key[:-1] + b":"))
            else:
                chosen = random_source.sample(keys, random_source.randint(2, 6))
                parts = [
                    operation(delete=delete_request(each)) if random_source.random() < 0.2 else operation(put=put(each, number))
                    for each in chosen
                ]
                yield client.start("KV/Txn", txn_request(success=parts))

    for _ in pipelined(calls()):
        pass


def write_large_values(client, count, size=1_000_000):
    """More than one WAL segment of 64 MB when `count` is above 64; deleted and compacted away at the end."""
    for index in range(count):
        client.put(b"large", bytes([index]) * size)
    client.delete(b"large")
    client.compact(client.revision())


@dataclass
class Contents:
    """All that clients can learn of a member's replicated state."""

    compact_revision: int
    revision: int
    #: By retained revision (all, or some), a digest of all keys and values at it.
    ranges: dict
    #: Every retained event after the compact revision.
    history: list
    #: By revision, some of them.
    hashes: dict
    leases: dict
    members: list

    def assert_equal(self, other):
        assert (self.compact_revision, self.revision) == (other.compact_revision, other.revision)
        common = self.ranges.keys() & other.ranges.keys()
        assert self.revision in common
        different = sorted(revision for revision in common if self.ranges[revision] != other.ranges[revision])
        assert not different, f"keys differ at {len(different)} revisions, first {different[:5]}"
        assert len(self.history) == len(other.history)
        for one, two in zip(self.history, other.history, strict=True):
            assert one == two
        assert self.hashes == other.hashes
        assert self.leases == other.leases
        assert self.members == other.members


def read_contents(client, every=25):
    """Reads all events and every so many revisions whole: 1 reads thousands of revisions, which takes seconds."""
    revision = client.revision()
    _, compact_revision = client.hash_kv()
    first = max(1, compact_revision)
    retained = [*range(first, revision, every), revision]
    calls = (client.start("KV/Range", range_request(*ALL_KEYS, revision=each), 60) for each in retained)
    ranges = {each: hashlib.sha1(without_header(reply)).digest() for each, reply in zip(retained, pipelined(calls), strict=True)}
    sampled = [*range(first + 1, revision, max(1, (revision - first) // 12)), revision]
    leases = {}
    for id in client.leases():
        lease = client.lease(id)
        leases[id] = (lease["granted_ttl"], sorted(lease.get("keys", [])))
    return Contents(
        compact_revision,
        revision,
        ranges,
        client.history(first + 1, revision),
        {each: client.hash_kv(each) for each in sampled},
        leases,
        sorted((member["id"], member.get("name"), member["peer_urls"]) for member in client.members()),
    )


def refusal_below_compaction(client, compact_revision):
    """How a read below the compact revision is refused."""
    reply = client.outcome("KV/Range", message((1, b"\0"), (2, b"\0"), (4, compact_revision - 1)))
    assert isinstance(reply, Outcome)
    return reply
