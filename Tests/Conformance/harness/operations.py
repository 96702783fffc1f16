"""Random requests of every kind that changes or reads the store, right ones and wrong ones, for comparing two servers."""

import random
from dataclasses import dataclass

from .protobuf import VARINT, embedded, fields, message, varint

KEYS = [b"a", b"aa", b"ab", b"a/1", b"a/10", b"b", b"b\x00", b"b\xff", b"\x00", b"\x00\x00", b"\xff", b"\xff\xff"]
MORE_KEYS = [*KEYS, *(b"k%d" % number for number in range(60))]
LEASES = [11, 12, 13, 14, 1 << 40]
LARGEST_TTL = 9_000_000_000
#: Members that alarms are raised for; nobody has these ids.
STRANGERS = [1, 2, 77]
NOSPACE, CORRUPT = 1, 2
MODIFYING = ("KV/Put", "KV/DeleteRange", "KV/Txn", "Lease/LeaseRevoke")


@dataclass(frozen=True)
class Operation:
    method: str
    request: bytes

    def __str__(self):
        return f"{self.method} {self.request.hex() if len(self.request) < 400 else f'<{len(self.request)} bytes>'}"


def number(field, value):
    """A varint field that is present even when zero."""
    return varint(field << 3 | VARINT) + varint(value)


class Operations:
    """An endless series that follows from its seed and from the revisions that the first server answered with."""

    def __init__(self, seed, past_in_txns=True):
        self.random = random.Random(seed)
        #: Whether the ranges of transactions name revisions.
        self.past_in_txns = past_in_txns
        # Go sorts up to twelve elements so that equal ones keep their order; of more it does not say.
        self.sorts = seed % 2 == 0
        self.keys = KEYS if self.sorts else MORE_KEYS
        self.revision = 1
        self.compacted = 0

    def saw(self, operation, reply):
        """Takes over what the header of a reply tells."""
        header = dict(fields(dict(fields(reply)).get(1, b"")))
        self.revision = max(self.revision, header.get(3, 0))
        if operation.method == "KV/Compact":
            self.compacted = max(self.compacted, dict(fields(operation.request)).get(1, 0))

    def next(self):
        kinds = {
            self.put: 30, self.range: 24, self.delete: 8, self.txn: 22, self.compact: 2, self.grant: 4, self.revoke: 2,
            self.time_to_live: 2, self.leases: 1, self.alarm: 1, self.hash: 2,
        }  # fmt: skip
        return self.random.choices(list(kinds), list(kinds.values()))[0]()

    def often(self, likely, *others):
        """Mostly the first."""
        return likely if self.random.random() < 0.8 else self.random.choice(others)

    def chance(self, probability=0.2):
        return self.random.random() < probability

    # Parts

    def key(self):
        return b"" if self.chance(0.02) else self.random.choice(self.keys)

    def end(self, key):
        pick = self.random.random()
        if pick < 0.35:
            return b""
        if pick < 0.45:
            return b"\0"
        if pick < 0.6 and key and key[-1] < 0xFF:
            return key[:-1] + bytes([key[-1] + 1])
        return self.random.choice(self.keys)

    def value(self):
        length = self.random.choice([0, 1, 1, 5, 20, 200])
        return bytes(self.random.choices(b"abcx\x00\xff", k=length))

    def lease(self):
        return 0 if self.chance(0.6) else self.random.choice([*LEASES, 999])

    def some_revision(self):
        """Past, present, future, compacted or nonsense."""
        pick = self.random.random()
        if pick < 0.75:
            return self.random.randint(max(1, self.compacted - 2), self.revision)
        return self.random.choice([self.revision, self.revision + 1, self.revision + 1000, self.compacted, 1, -1])

    def bound(self):
        return self.random.randint(0, self.revision + 1) if self.chance(0.15) else 0

    # Requests

    def put(self):
        return Operation("KV/Put", self.put_request())

    def put_request(self):
        ignores_value, ignores_lease = self.chance(0.08), self.chance(0.08)
        value = b"" if ignores_value and self.chance(0.8) else self.value()
        lease = 0 if ignores_lease and self.chance(0.8) else self.lease()
        return message(
            (1, self.key()), (2, value), (3, lease), (4, self.chance(0.3)), (5, ignores_value), (6, ignores_lease)
        )  # fmt: skip

    def range(self):
        return Operation("KV/Range", self.range_request())

    def range_request(self, past=True):
        key = self.key()
        revision = self.some_revision() if self.chance(0.35) else 0
        return message(
            (1, key), (2, self.end(key)), (3, self.often(0, 1, 2, 5, 1000, -1)),
            (4, revision if past else 0), (5, self.often(0, 1, 2, 3)),
            # etcd 3.5 ends with a panic at targets that do not exist.
            (6, self.often(0, 1, 2, 3, 4) if self.sorts else 0), (7, self.chance()), (8, self.chance()), (9, self.chance()),
            (10, self.bound()), (11, self.bound()), (12, self.bound()), (13, self.bound()),
        )  # fmt: skip

    def delete(self):
        return Operation("KV/DeleteRange", self.delete_request())

    def delete_request(self):
        key = self.key()
        # Few that empty everything.
        end = self.end(key) if self.chance(0.5) else b""
        return message((1, key), (2, end if end != b"\0" or self.chance(0.1) else b""), (3, self.chance(0.4)))

    def txn(self):
        return Operation("KV/Txn", self.txn_request(depth=0))

    def txn_request(self, depth):
        out = b""
        for _ in range(self.random.choice([0, 0, 1, 1, 2, 3])):
            out += embedded(1, self.compare())
        for branch in (2, 3):
            count = 130 if self.chance(0.004) else self.random.choice([0, 1, 1, 2, 3])
            for _ in range(count):
                out += embedded(branch, self.request_operation(depth))
        return out

    def request_operation(self, depth):
        pick = self.random.random()
        if pick < 0.01:
            return b""
        if pick < 0.35:
            return embedded(1, self.range_request(self.past_in_txns))
        if pick < 0.7:
            return embedded(2, self.put_request())
        if pick < 0.85 or depth == 3:
            return embedded(3, self.delete_request())
        return embedded(4, self.txn_request(depth + 1))

    def compare(self):
        """With every target, and now and then the value of another one, or of none."""
        target = self.random.choice([0, 1, 2, 3, 4])
        key = self.key()
        out = message((1, self.often(self.random.choice([0, 1, 2, 3]), 4)), (2, target), (3, key))
        given = self.often(target, 0, 1, 2, 3, 4, None)
        if given == 3:
            out += embedded(7, self.value())
        elif given is not None:
            small = self.random.choice([0, 0, 1, 2, 3, self.random.choice(LEASES), self.some_revision()])
            out += number({0: 4, 1: 5, 2: 6, 4: 8}[given], small)
        if self.chance(0.3):
            end = self.end(key)
            out += message((64, end))
        return out

    def compact(self):
        revision = self.some_revision() if self.chance(0.4) else max(1, self.revision - self.random.randint(0, 60))
        # At 0 etcd leaves a hash of revision 0 behind, which it answers from then on whenever it is asked for the newest.
        return Operation("KV/Compact", message((1, revision or 1), (2, True)))

    def grant(self):
        # None that ends meanwhile, which would not be at the same moment on both sides.
        ttl = self.often(3600, 10_000, LARGEST_TTL, LARGEST_TTL + 1)
        return Operation("Lease/LeaseGrant", message((1, ttl), (2, self.random.choice(LEASES))))

    def revoke(self):
        return Operation("Lease/LeaseRevoke", message((1, self.random.choice([*LEASES, 999]))))

    def time_to_live(self):
        return Operation("Lease/LeaseTimeToLive", message((1, self.random.choice([*LEASES, 999])), (2, self.chance(0.7))))

    def leases(self):
        return Operation("Lease/LeaseLeases", b"")

    def alarm(self):
        """Asks, or raises and lifts alarms of members that do not exist."""
        action = self.random.choice([0, 0, 1, 2, 2])
        kind = self.random.choice([0, NOSPACE])
        # Raised, an alarm of kind "none" is kept as such.
        return Operation("Maintenance/Alarm", message((1, action), (2, self.random.choice(STRANGERS)), (3, kind)))

    def lift_alarms(self):
        for member in STRANGERS:
            yield Operation("Maintenance/Alarm", message((1, 2), (2, member), (3, NOSPACE)))

    def hash(self):
        return Operation("Maintenance/HashKV", message((1, self.some_revision() if self.chance(0.7) else 0)))

    def too_much(self):
        """A put for which the quota has no room."""
        return Operation("KV/Put", message((1, b"large"), (2, bytes(1_400_000))))
