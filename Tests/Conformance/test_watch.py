"""Watch streams of the API itself, beside real etcd: every option of a request, what is refused and how, and what progress is told."""

import contextlib
import queue
import threading

import grpc
import pytest

from harness.client import WATCH, decode, delete_request, operation, put_request, txn_request
from harness.daemon import poll
from harness.protobuf import embedded, message, varint

NOPUT, NODELETE = 0, 1
#: Of the deletions and puts of `history`, in order of their revisions.
EVENTS, PUTS, DELETIONS = 11, 7, 4
NO_WATCH = (1 << 64) - 1


def create(key=b"\0", end=b"\0", start=2, filters=(), **options):
    numbers = {"progress_notify": 4, "prev_kv": 6, "watch_id": 7, "fragment": 8}
    fields = message((1, key), (2, end), (3, start), *((numbers[name], value) for name, value in options.items()))
    return embedded(1, fields + b"".join(varint(5 << 3) + varint(each) for each in filters))


def cancel(id):
    return embedded(2, message((1, id)))


PROGRESS = embedded(3, b"")


def history(daemon):
    client = daemon.client
    client.grant(600, 7)
    client.put(b"a", b"1")
    client.put(b"a", b"2", lease=7)
    client.put(b"b", b"")
    client.call("KV/Txn", txn_request(success=[
        operation(put=put_request(b"a", b"3")), operation(put=put_request(b"c", b"4")), operation(delete=delete_request(b"b")),
    ]))  # fmt: skip
    client.put(b"d", b"5")
    client.delete(b"c", b"e")
    client.put(b"a", b"6")
    client.call("Lease/LeaseRevoke", message((1, 7)))
    client.delete(b"a")


class Stream:
    """One watch stream; what came in is kept by watch."""

    def __init__(self, daemon):
        self._requests = queue.Queue()
        self._channel = grpc.insecure_channel(daemon.endpoint, options=[("grpc.max_receive_message_length", 64 << 20)])
        call = self._channel.stream_stream("/etcdserverpb.Watch/Watch")
        self._call = call(iter(self._requests.get, None), timeout=60)
        #: Of a watch, in their order: what is told of itself, and its events.
        self.told = {}
        self.events = {}
        self.fragments = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with contextlib.suppress(grpc.RpcError):
            for part in self._call:
                self._take(decode(part, WATCH | {7: "fragment"}))

    def _take(self, response):
        id = response.get("watch_id", 0)
        events = response.pop("events", [])
        self.events.setdefault(id, []).extend((each.get("type", 0), each["kv"], each.get("prev_kv")) for each in events)
        # How many revisions share a response depends on time.
        if not events:
            header = response.pop("header")
            self.told.setdefault(id, []).append(response | {"revision": header.get("revision")})
        self.fragments += response.get("fragment", False)

    def send(self, *requests):
        for request in requests:
            self._requests.put(request)

    def close(self):
        self._requests.put(None)
        self._call.cancel()
        self._channel.close()


@pytest.fixture
def streams(both):
    """Opens a stream on each side: streams(), as often as wanted. The history is written."""
    opened = []
    both.each(history)

    def make():
        pair = both.each(Stream)
        opened.extend([pair.reference, pair.ours])
        return pair

    yield make
    for each in opened:
        each.close()


def compare(pair, ready, what):
    """Waits until `ready` holds on both sides, and compares everything that came."""
    poll(lambda: all(pair.map(ready).__dict__.values()), 20, lambda: f"{what}: {pair.map(lambda each: (each.told, each.events))}")
    assert pair.ours.told == pair.reference.told, what
    assert pair.ours.events == pair.reference.events, what


def counts(events, told=1, id=0):
    return lambda stream: len(stream.events.get(id, [])) >= events and len(stream.told.get(id, [])) >= told


@pytest.mark.parametrize(
    "options, events",
    [
        ({}, EVENTS),
        ({"prev_kv": True}, EVENTS),
        ({"filters": [NOPUT]}, DELETIONS),
        ({"filters": [NODELETE], "prev_kv": True}, PUTS),
        ({"filters": [NODELETE, NODELETE]}, PUTS),
        ({"filters": [NOPUT, NODELETE]}, 0),
        ({"filters": [9]}, EVENTS),
        ({"start": 1}, EVENTS),
        ({"start": 6}, 5),
        ({"progress_notify": True, "fragment": True}, EVENTS),
        ({"key": b"", "end": b""}, 0),
        ({"key": b"", "end": b"\0"}, EVENTS),
        ({"key": b"a", "end": b""}, 5),
        ({"key": b"a", "end": b"b"}, 5),
        ({"key": b"b", "end": b"\0"}, 6),
        ({"watch_id": 5}, EVENTS),
    ],
    ids=str,
)
def test_options_of_a_watch(streams, both, options, events):
    pair = streams()
    id = options.get("watch_id", 0)
    pair.map(lambda stream: stream.send(create(**options)))
    compare(pair, counts(events, id=id), options)
    # And from now on as things happen: the last change is seen by whoever sees puts at all, or deletions.
    both.each(lambda daemon: (daemon.client.put(b"a", b"live"), daemon.client.delete(b"a")))
    if options.get("key") == b"b" or options.get("end") == b"" == options.get("key"):
        live = 0
    else:
        live = 2 - len(set(options.get("filters", [])) & {NOPUT, NODELETE})
    compare(pair, counts(events + live, id=id), options)


def test_without_a_start_only_the_future_is_told(streams, both):
    pair = streams()
    pair.map(lambda stream: stream.send(create(start=0, prev_kv=True)))
    compare(pair, counts(0), "created")
    both.each(lambda daemon: daemon.client.put(b"x", b"1"))
    compare(pair, counts(1), "the future")
    # A revision that is to come.
    pair.map(lambda stream: stream.send(create(start=14)))
    compare(pair, counts(0, id=1), "created")
    both.each(lambda daemon: [daemon.client.put(b"x", b"%d" % number) for number in range(4)])
    compare(pair, lambda stream: counts(5)(stream) and counts(1, id=1)(stream), "from the revision on")


def test_what_is_refused(streams, both):
    both.each(lambda daemon: daemon.client.compact(4))
    # And how many responses say so, beside that for the watch that comes after it.
    refused = [
        ("an empty range", create(b"b", b"a"), 1),
        ("a range of nothing", create(b"b", b"b"), 1),
        ("compacted", create(start=3), 2),
        ("the compacted revision", create(start=4), 1),
    ]
    if both.release.number >= (3, 5, 30):
        refused.append(("a negative revision", create(start=-5 & (1 << 64) - 1), 1))
    for what, request, responses in refused:
        pair = streams()
        pair.map(lambda stream, request=request: stream.send(request, create(start=0, watch_id=77)))
        # From the compacted revision itself on history is told.
        events = EVENTS - 2 if what == "the compacted revision" else 0
        compare(
            pair,
            lambda stream, told=responses + 1, events=events: sum(map(len, stream.told.values())) >= told
            and len(stream.events.get(0, [])) >= events,
            what,
        )


def test_ids_of_watches(streams):
    pair = streams()
    steps = [
        create(watch_id=1, start=0), create(start=0), create(watch_id=1, start=0), create(start=0), create(watch_id=2, start=0),
        cancel(1), cancel(99), create(watch_id=1, start=0), create(start=0),
    ]  # fmt: skip
    told = [1, 2, 3, 4, 5, 6, 6, 7, 8]
    for number, (step, count) in enumerate(zip(steps, told, strict=True)):
        pair.map(lambda stream, step=step: stream.send(step))
        compare(pair, lambda stream, count=count: sum(map(len, stream.told.values())) >= count, f"step {number}")


def test_progress_on_request(streams, both):
    if both.release.number < (3, 5, 30):
        pytest.skip("earlier releases tell progress of watchers that are behind")
    pair = streams()
    pair.map(lambda stream: stream.send(create(start=0), create(start=2)))
    compare(pair, lambda stream: counts(0)(stream) and counts(EVENTS, id=1)(stream), "created")
    pair.map(lambda stream: stream.send(PROGRESS))
    compare(pair, counts(0, id=NO_WATCH), "progress of all")
    both.each(lambda daemon: daemon.client.put(b"x", b"1"))
    compare(pair, counts(1), "an event")
    pair.map(lambda stream: stream.send(PROGRESS))
    compare(pair, counts(0, told=2, id=NO_WATCH), "progress of all again")


def test_large_transactions_come_in_fragments_to_who_asked(streams, both):
    """With what was there before, as one request may not be as large."""
    for letter in b"ab":
        parts = [operation(put=put_request(b"big/%d" % number, bytes([letter]) * 450_000)) for number in range(3)]
        both.each(lambda daemon, parts=parts: daemon.client.call("KV/Txn", txn_request(success=parts), 30))
    revision = both.each(lambda daemon: daemon.client.revision())
    for fragment in (True, False):
        pair = streams()
        request = create(b"big/", b"big0", revision.reference, prev_kv=True, fragment=fragment)
        pair.map(lambda stream, request=request: stream.send(request))
        poll(lambda pair=pair: all(len(each.events.get(0, [])) == 3 for each in (pair.reference, pair.ours)), 20, "three large events")
        for each in (pair.reference, pair.ours):
            told = [(kv["key"], kv["value"][:1], len(kv["value"]), old["value"][:1]) for _, kv, old in each.events[0]]
            assert told == [(b"big/%d" % number, b"b", 450_000, b"a") for number in range(3)]
            assert (each.fragments > 0) == fragment
        assert pair.ours.fragments == pair.reference.fragments
