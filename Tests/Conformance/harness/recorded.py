"""A load whose every call is remembered, and watchers, for harness.history to judge."""

import random
import threading
import time
from dataclasses import replace

import grpc

from .client import PUT, RANGE, WATCH, delete_request, operation, put_request, range_request, txn_request
from .daemon import poll
from .history import Call, Change, Found, Watched, check
from .protobuf import decode, embedded, message

PREFIX, END = b"h/", b"h0"
KEYS = [PREFIX + b"%d" % number for number in range(6)]
CALL_SECONDS = 3
# A watcher that hears nothing for so long goes on elsewhere; it asks for a sign of life more often than that.
PATIENCE = 2
ASKING = 0.25
# Earlier releases tell progress before the events it stands for (etcd #15220).
SOUND_PROGRESS = (3, 5, 10)
RESPONSE = {1: ("range", RANGE), 2: ("put", PUT), 3: ("delete", {2: "deleted"})}
TXN = {1: ("header", {3: "revision"}), 2: "succeeded", 3: ("*responses", RESPONSE)}
ANSWER = {1: ("header", {3: "revision"}), 2: ("*kvs", RANGE[2][1])}
DELETED = {1: ("header", {3: "revision"}), 2: "deleted"}
PROGRESS_REQUEST = embedded(3, b"")


def found_in(kvs):
    if not kvs:
        return None
    kv = kvs[0]
    return Found(kv.get("value", b""), kv["create_revision"], kv["mod_revision"], kv["version"])


def compared(key, expected):
    """The comparison `value(key) = expected`, or `version(key) = 0` for None."""
    if expected is None:
        return message((3, key)) + b"\x20\x00"
    return message((2, 3), (3, key), (7, expected))


class Session(threading.Thread):
    """One client: a call at a time, at one member until it fails there."""

    def __init__(self, number, members, seed, pause):
        super().__init__(daemon=True)
        self.number = number
        self.members = members
        self.chance = random.Random(f"{seed}/{number}")
        self.pause = pause
        self.calls = []
        self.finished = threading.Event()
        #: What was last read or written, by key: what swaps expect.
        self.last = {}
        self.count = 0

    def run(self):
        at = self.number % len(self.members)
        clients = [each.connect(CALL_SECONDS) for each in self.members]
        while not self.finished.is_set():
            if not self._call(clients[at]):
                at = (at + 1) % len(clients)
                self.finished.wait(0.02)
            self.finished.wait(self.pause)
        for each in clients:
            each.close()

    def _fresh(self):
        self.count += 1
        return b"%d.%d" % (self.number, self.count)

    def _call(self, client):
        key = self.chance.choice(KEYS)
        kind = self.chance.choices(["put", "get", "stale", "swap", "delete", "pair"], [30, 30, 8, 20, 6, 6])[0]
        keys, values, expected = (key,), (), None
        if kind == "put":
            values = (self._fresh(),)
            method, request = "Put", put_request(key, values[0])
        elif kind in ("get", "stale"):
            method, request = "Range", range_request(key, serializable=kind == "stale")
        elif kind == "delete":
            method, request = "DeleteRange", delete_request(key)
        elif kind == "swap":
            values, expected = (self._fresh(),), self.last.get(key)
            put, read = operation(put=put_request(key, values[0])), operation(range=range_request(key))
            method, request = "Txn", txn_request([compared(key, expected)], [put], [read])
        else:
            keys = tuple(self.chance.sample(KEYS, 2))
            values = (self._fresh(), self._fresh())
            puts = [operation(put=put_request(*each)) for each in zip(keys, values)]
            method, request = "Txn", txn_request((), puts, ())
        began = time.monotonic()
        try:
            reply = client.call("KV/" + method, request)
        except grpc.RpcError:
            self.calls.append(Call(kind, keys, began, values=values, expected=expected))
            return False
        self.calls.append(self._answered(kind, keys, values, expected, began, time.monotonic(), reply))
        return True

    def _answered(self, kind, keys, values, expected, began, ended, reply):
        succeeded, found = False, ()
        if kind in ("get", "stale"):
            answer = decode(reply, ANSWER)
            found = (found_in(answer.get("kvs")),)
        elif kind == "delete":
            answer = decode(reply, DELETED)
            succeeded = answer.get("deleted", 0) == 1
        elif kind == "swap":
            answer = decode(reply, TXN)
            succeeded = bool(answer.get("succeeded"))
            if not succeeded:
                found = (found_in(answer["responses"][0]["range"].get("kvs")),)
        else:
            answer = decode(reply, TXN)
        for key in keys:
            if found:
                self.last[key] = found[0].value if found[0] else None
            else:
                self.last[key] = dict(zip(keys, values)).get(key)
        revision = answer["header"]["revision"]
        return Call(kind, keys, began, ended, values, expected, revision, succeeded, found)


class Watcher(threading.Thread):
    """Watches all keys from the first revision on, and goes on elsewhere where it was when its connection fails or falls silent."""

    def __init__(self, name, members, at, start_revision=1):
        super().__init__(daemon=True)
        self.members = members
        self.at = at
        self.watched = Watched(name, PREFIX, END, start_revision)
        self.reached = start_revision - 1
        self.resumed = -1
        releases = [each.software.release for each in members if each.software.release]
        self.asks = all(release.number >= SOUND_PROGRESS for release in releases)
        self.refusal = None
        self.finished = threading.Event()

    def run(self):
        while not self.finished.is_set() and self.refusal is None:
            self.resumed += 1
            with self.members[self.at % len(self.members)].connect() as client:
                try:
                    self._follow(client._channel)
                except grpc.RpcError:
                    self.finished.wait(0.05)
            self.at += 1

    def _follow(self, channel):
        create = embedded(1, message((1, PREFIX), (2, END), (3, self.reached + 1)))
        heard = [time.monotonic()]
        over = threading.Event()

        def requests():
            yield create
            while not over.wait(ASKING):
                if self.finished.is_set() or time.monotonic() - heard[0] > PATIENCE:
                    call.cancel()
                    return
                if self.asks:
                    yield PROGRESS_REQUEST

        call = channel.stream_stream("/etcdserverpb.Watch/Watch")(requests(), timeout=60)
        try:
            for part in call:
                heard[0] = time.monotonic()
                if not self._take(decode(part, WATCH)):
                    return
        finally:
            over.set()
            call.cancel()

    def _take(self, response):
        """False when this watch is over."""
        if response.get("canceled"):
            # Nothing is compacted, so a member has no reason to.
            self.refusal = response
            return False
        if response.get("created"):
            return True
        if events := response.get("events"):
            changes = [change_of(event.get("type", 0), event["kv"]) for event in events]
            self.watched.responses.append(changes)
            self.reached = max(self.reached, changes[-1].revision)
        else:
            self.watched.responses.append(response["header"]["revision"])
            self.reached = max(self.reached, response["header"]["revision"])
        return True


def change_of(kind, kv):
    found = None if kind == 1 else found_in([kv])
    return Change(kv["mod_revision"], kv["key"], found)


def history_of(member, last):
    """Every change as one member tells it."""
    changes = []
    for kind, key, created, revision, version, value, _ in member.client.history(1, last):
        changes.append(Change(revision, key, None if kind == 1 else Found(value, created, revision, version)))
    return changes


class Recorded:
    """Sessions and watchers on a cluster: `with Recorded(cluster) as load: ... load.finish()` judges all they were told."""

    def __init__(self, cluster, sessions=6, pause=0.004, seed=None):
        self.cluster = cluster
        self.seed = seed or time.time_ns()
        members = list(cluster.members)
        self.sessions = [Session(number, members, self.seed, pause) for number in range(sessions)]
        #: Besides those of the sessions.
        self.calls = []
        self.watchers = [Watcher(f"watcher {number}", members, number) for number in range(len(members))]

    def __enter__(self):
        for each in self.sessions + self.watchers:
            each.start()
        self.more()
        return self

    def __exit__(self, *_):
        for each in self.sessions + self.watchers:
            each.finished.set()
        for each in self.sessions + self.watchers:
            each.join(CALL_SECONDS + 5)

    def answered(self):
        """How many writes were acknowledged."""
        return sum(call.is_answered and call.kind in ("put", "pair") for each in self.sessions for call in list(each.calls))

    def more(self, count=40, seconds=20):
        """Waits for that many more acknowledged writes; returns how long it took."""
        before, began = self.answered(), time.monotonic()
        poll(lambda: self.answered() >= before + count, seconds, f"{count} more writes are acknowledged", 0.005)
        return time.monotonic() - began

    def put_at(self, member, seconds):
        """A call of its own: whether a member acknowledges a write within so long."""
        key, value = PREFIX + b"own", b"own.%d" % len(self.calls)
        began = time.monotonic()
        answer = member.client.outcome("KV/Put", put_request(key, value), timeout=seconds)
        call = Call("put", (key,), began, values=(value,))
        if is_answered := isinstance(answer, bytes):
            call = replace(call, ended=time.monotonic(), revision=decode(answer, PUT)["header"]["revision"])
        self.calls.append(call)
        return is_answered

    def get_at(self, member, serializable=False):
        """Reads what ``put_at`` writes, and takes the answer for a linearizable one whatever was asked for."""
        key, began = PREFIX + b"own", time.monotonic()
        answer = decode(member.client.call("KV/Range", range_request(key, serializable=serializable)), ANSWER)
        found, revision = found_in(answer.get("kvs")), answer["header"]["revision"]
        self.calls.append(Call("get", (key,), began, time.monotonic(), revision=revision, found=(found,)))

    def finish(self):
        """When everything is healed: all members agree, every watcher has caught up, and the history is sound."""
        for each in self.sessions:
            each.finished.set()
        for each in self.sessions:
            each.join(CALL_SECONDS + 5)
            assert not each.is_alive()
        self.cluster.settle()
        last = self.cluster.running[0].client.revision()
        poll(
            lambda: all(each.reached >= last or each.refusal for each in self.watchers), 20,
            lambda: f"watchers reach {last}: {[(each.reached, each.resumed) for each in self.watchers]}",
        )  # fmt: skip
        refused = [each.refusal for each in self.watchers if each.refusal]
        assert not refused, f"a watch was cancelled: {refused}"
        for each in self.watchers:
            each.finished.set()
        calls = self.calls + [call for each in self.sessions for call in each.calls]
        histories = {each.name: history_of(each, last) for each in self.cluster.running}
        try:
            check(calls, histories, [each.watched for each in self.watchers])
        except AssertionError as violation:
            raise AssertionError(f"seed {self.seed}: {violation}") from violation
        return calls
