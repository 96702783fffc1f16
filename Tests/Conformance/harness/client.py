"""etcd's gRPC API without generated code: requests are put together field by field, replies can be compared byte for byte."""

import contextlib
import os
import threading
from dataclasses import dataclass

# gRPC's handlers for fork break child processes that are only about to exec.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc  # noqa: E402

from .protobuf import decode, embedded, fields, message  # noqa: E402

HEADER = {1: "cluster_id", 2: "member_id", 3: "revision", 4: "raft_term"}
KEY_VALUE = {1: "key", 2: "create_revision", 3: "mod_revision", 4: "version", 5: "value", 6: "lease"}
RANGE = {1: ("header", HEADER), 2: ("*kvs", KEY_VALUE), 3: "more", 4: "count"}
PUT = {1: ("header", HEADER), 2: ("prev_kv", KEY_VALUE)}
DELETE = {1: ("header", HEADER), 2: "deleted"}
TXN = {1: ("header", HEADER), 2: "succeeded", 3: "*responses"}
WATCH = {
    1: ("header", HEADER),
    2: "watch_id",
    3: "created",
    4: "canceled",
    5: "compact_revision",
    6: "cancel_reason",
    11: ("*events", {1: "type", 2: ("kv", KEY_VALUE), 3: ("prev_kv", KEY_VALUE)}),
}
STATUS = {
    1: ("header", HEADER),
    2: "version",
    3: "db_size",
    4: "leader",
    5: "raft_index",
    6: "raft_term",
    7: "raft_applied_index",
    8: "*errors",
    9: "db_size_in_use",
    10: "is_learner",
    11: "storage_version",
}
MEMBER = {1: "id", 2: "name", 3: "*peer_urls", 4: "*client_urls", 5: "is_learner"}
MEMBER_LIST = {1: ("header", HEADER), 2: ("*members", MEMBER)}
HASH_KV = {1: ("header", HEADER), 2: "hash", 3: "compact_revision"}
LEASE = {1: ("header", HEADER), 2: "id", 3: "ttl", 4: "granted_ttl", 5: "*keys"}
LEASES = {1: ("header", HEADER), 2: ("*leases", {1: "id"})}
SNAPSHOT = {2: "remaining_bytes", 3: "blob"}

ALL_KEYS = (b"\0", b"\0")


@dataclass(frozen=True)
class Outcome:
    """How a call failed."""

    code: str
    text: str


def put_request(key, value, lease=0, prev_kv=False):
    return message((1, key), (2, value), (3, lease), (4, prev_kv))


def range_request(key, end=b"", **options):
    numbers = {"limit": 3, "revision": 4, "serializable": 7, "keys_only": 8, "count_only": 9}
    return message((1, key), (2, end), *((numbers[name], value) for name, value in options.items()))


def delete_request(key, end=b"", prev_kv=False):
    return message((1, key), (2, end), (3, prev_kv))


def operation(range=None, put=None, delete=None, txn=None):
    """One operation of a transaction."""
    for number, request in ((1, range), (2, put), (3, delete), (4, txn)):
        if request is not None:
            return embedded(number, request)
    raise ValueError("no operation")


def missing(key):
    """The comparison `version(key) = 0`."""
    return message((3, key)) + b"\x20\x00"


def unchanged(key, mod_revision):
    """The comparison `mod(key) = mod_revision`."""
    return message((2, 2), (3, key), (6, mod_revision))


def txn_request(compare=(), success=(), failure=()):
    out = b""
    for number, parts in ((1, compare), (2, success), (3, failure)):
        for part in parts:
            out += embedded(number, part)
    return out


class Client:
    """One connection to one member. Every call has a deadline."""

    def __init__(self, endpoint, timeout=10, credentials=None):
        self.timeout = timeout
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
        ]
        if credentials:
            self._channel = grpc.secure_channel(endpoint, credentials, options)
        else:
            self._channel = grpc.insecure_channel(endpoint, options)

    def close(self):
        self._channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, method, request, timeout=None):
        """Sends and answers at once with a future; its result is the reply's bytes."""
        service = method if "." in method.partition("/")[0] else "etcdserverpb." + method
        return self._channel.unary_unary("/" + service).future(request, timeout=timeout or self.timeout)

    def call(self, method, request, timeout=None):
        """The reply's bytes; raises grpc.RpcError."""
        return self.start(method, request, timeout).result()

    def outcome(self, method, request, timeout=None):
        """The reply's bytes, or the Outcome of a failed call."""
        try:
            return self.call(method, request, timeout)
        except grpc.RpcError as error:
            return Outcome(error.code().name, error.details())

    def put(self, key, value, lease=0):
        return decode(self.call("KV/Put", put_request(key, value, lease)), PUT)

    def range(self, key, end=b"", **options):
        return decode(self.call("KV/Range", range_request(key, end, **options)), RANGE)

    def get(self, key):
        """The value, or None."""
        kvs = self.range(key).get("kvs")
        return kvs[0].get("value", b"") if kvs else None

    def delete(self, key, end=b""):
        return self.call("KV/DeleteRange", delete_request(key, end))

    def txn(self, compare=(), success=(), failure=()):
        return decode(self.call("KV/Txn", txn_request(compare, success, failure)), TXN)

    def compact(self, revision, physical=True):
        return self.call("KV/Compact", message((1, revision), (2, physical)))

    def status(self):
        return decode(self.call("Maintenance/Status", b""), STATUS)

    def revision(self):
        return self.range(b"\0")["header"]["revision"]

    def members(self):
        return decode(self.call("Cluster/MemberList", message((1, True))), MEMBER_LIST)["members"]

    def hash_kv(self, revision=0):
        # All of a large database, and perhaps from the disk.
        reply = decode(self.call("Maintenance/HashKV", message((1, revision)), 60), HASH_KV)
        return reply["hash"], reply.get("compact_revision", 0)

    def grant(self, ttl, id=0):
        return decode(self.call("Lease/LeaseGrant", message((1, ttl), (2, id))), LEASE)["id"]

    def lease(self, id, keys=True):
        return decode(self.call("Lease/LeaseTimeToLive", message((1, id), (2, keys))), LEASE)

    def leases(self):
        reply = decode(self.call("Lease/LeaseLeases", b""), LEASES)
        return sorted(lease["id"] for lease in reply.get("leases", []))

    def snapshot(self, path):
        """Streams the page file with its trailing checksum into a file."""
        with open(path, "wb") as file:
            for part in self._channel.unary_stream("/etcdserverpb.Maintenance/Snapshot")(b"", timeout=60):
                file.write(decode(part, SNAPSHOT).get("blob", b""))

    @contextlib.contextmanager
    def watch(self, key, end=b"", start_revision=0, timeout=60):
        """An iterator of decoded watch responses, the creating one first."""
        create = embedded(1, message((1, key), (2, end), (3, start_revision)))
        finished = threading.Event()

        def requests():
            yield create
            finished.wait(timeout)

        call = self._channel.stream_stream("/etcdserverpb.Watch/Watch")(requests(), timeout=timeout)
        try:
            yield (decode(part, WATCH) for part in call)
        finally:
            finished.set()
            call.cancel()

    def history(self, first, last):
        """Every event from revision `first` to `last`, in order, as (type, key, create, mod, version, value, lease)."""
        events = []
        if last < first:
            return events
        with self.watch(*ALL_KEYS, start_revision=first) as responses:
            for response in responses:
                if response.get("canceled"):
                    raise AssertionError(f"watch from {first} was cancelled: {response}")
                for event in response.get("events", []):
                    kv = event["kv"]
                    names = ("key", "create_revision", "mod_revision", "version", "value", "lease")
                    events.append((event.get("type", 0), *(kv.get(name, 0) for name in names)))
                if events and events[-1][3] >= last:
                    return events
        raise AssertionError(f"watch ended before revision {last}")


def without_header(reply):
    """A reply's bytes but for the header (field 1), which names the member and its raft term."""
    parts = []
    for number, value in fields(reply):
        if number != 1:
            parts.append(message((number, value)))
    return b"".join(parts)
