"""The judge of histories judged: sound histories pass, and every planted violation is found."""

import random
from dataclasses import replace

import pytest

from harness.history import NEVER, Call, Change, Found, Violation, Watched, check, is_linearizable

KEYS = [b"a", b"b", b"c"]


class Sound:
    """A sound history from a seed: calls that overlap, some without an answer, and what watchers see of it."""

    def __init__(self, seed, count=120):
        self.chance = random.Random(seed)
        self.state, self.revision, self.changes, self.calls = {}, 1, [], []
        for number in range(count):
            self._call(number)
        self.watched = [Watched("all", b"a", b"z", 1), Watched("some", b"b", b"c", 10)]
        for each in self.watched:
            self._watch(each)

    def _write(self, key, value):
        before = self.state.get(key)
        found = None
        if value is not None:
            found = Found(value, before.create_revision if before else self.revision, self.revision, before.version + 1 if before else 1)
        self.state[key] = found
        self.changes.append(Change(self.revision, key, found))

    def _call(self, number):
        # It happens at `number`, somewhere between its beginning and its end.
        began, ended = number - self.chance.uniform(0, 3), number + self.chance.uniform(0, 3)
        kind = self.chance.choice(["put", "pair", "delete", "swap", "get", "stale"])
        key, value = self.chance.choice(KEYS), b"%d" % number
        before = self.state.get(key)
        held = before.value if before else None
        expected = held if self.chance.random() < 0.6 else b"else"
        lost = self.chance.random() < 0.1
        happens = not lost or self.chance.random() < 0.5
        hits = {"put": True, "pair": True, "delete": before is not None, "swap": expected == held}.get(kind, False) and happens
        keys, values = (key,), (value,) if kind in ("put", "swap") else ()
        if kind == "pair":
            keys, values = tuple(self.chance.sample(KEYS, 2)), (value, value + b"'")
        if hits:
            self.revision += 1
            for each, new in zip(keys, values or (None,)):
                self._write(each, new)
        call = Call(kind, keys, began, values=values, expected=expected if kind == "swap" else None)
        if not lost:
            found = (before,) if kind in ("get", "stale") or (kind == "swap" and not hits) else ()
            succeeded = hits and kind in ("swap", "delete")
            call = replace(call, ended=ended, revision=self.revision, succeeded=succeeded, found=found)
        self.calls.append(call)

    def _watch(self, watched):
        for revision in range(watched.start_revision, self.revision + 1):
            seen = [change for change in self.changes if change.revision == revision and watched.covers(change.key)]
            if seen:
                watched.responses.append(seen)
            elif self.chance.random() < 0.3:
                watched.responses.append(revision)

    def check(self):
        check(self.calls, {"m1": self.changes, "m2": list(self.changes)}, self.watched)

    def some(self, condition):
        """The index of some call."""
        return self.chance.choice([at for at, call in enumerate(self.calls) if condition(call)])

    def change_call(self, condition, **new):
        at = self.some(condition)
        self.calls[at] = replace(self.calls[at], **{name: value(self.calls[at]) for name, value in new.items()})


def test_sound_histories_pass():
    for seed in range(60):
        Sound(seed).check()


def answered(*kinds):
    return lambda call: call.is_answered and call.kind in kinds


def lose_a_write(sound):
    at = sound.some(answered("put"))
    lost = sound.calls[at]
    sound.changes = [change for change in sound.changes if change.revision != lost.revision]


def write_twice(sound):
    at = sound.some(answered("put"))
    sound.revision += 1
    sound._write(sound.calls[at].keys[0], sound.calls[at].values[0])


def write_an_unanswered_one_twice(sound):
    sound.calls.append(Call("put", (b"a",), 1, values=(b"twice",)))
    for _ in range(2):
        sound.revision += 1
        sound._write(b"a", b"twice")


def write_by_nobody(sound):
    sound.revision += 1
    sound._write(b"a", b"invented")


def delete_by_nobody(sound):
    for value in (b"put", None):
        sound.revision += 1
        sound._write(b"a", value)
    sound.calls = [call for call in sound.calls if call.is_answered or call.kind != "delete"]
    sound.calls.append(Call("put", (b"a",), 0, values=(b"put",)))


def tear_a_pair(sound):
    sound.calls.append(Call("pair", (b"a", b"b"), 500, values=(b"half", b"other half")))
    sound.revision += 1
    sound._write(b"a", b"half")


def stale_read(sound):
    """A read of what was true at an earlier revision, with that revision, after a write was over."""
    sound.revision += 1
    before = sound.state.get(b"a")
    sound._write(b"a", b"newest")
    sound.calls.append(Call("put", (b"a",), 300, 301, (b"newest",), None, sound.revision))
    sound.calls.append(Call("get", (b"a",), 302, 303, (), None, sound.revision - 1, False, (before,)))


def read_backwards(sound):
    """A write without an answer is seen, and then not seen any more."""
    sound.revision += 1
    before = sound.state.get(b"a")
    sound._write(b"a", b"newest")
    sound.calls.append(Call("put", (b"a",), 300, values=(b"newest",)))
    sound.calls.append(Call("get", (b"a",), 302, 303, (), None, sound.revision, False, (sound.state[b"a"],)))
    sound.calls.append(Call("get", (b"a",), 304, 305, (), None, sound.revision - 1, False, (before,)))


def read_the_future(sound):
    sound.revision += 1
    sound._write(b"a", b"later")
    sound.calls.append(Call("get", (b"a",), 302, 303, (), None, sound.revision, False, (sound.state[b"a"],)))
    sound.calls.append(Call("put", (b"a",), 304, 305, (b"later",), None, sound.revision))


def swap_order(sound):
    """Two writes one after the other, numbered the other way round."""
    first, second = Call("put", (b"a",), 300, 301, (b"1st",)), Call("put", (b"b",), 302, 303, (b"2nd",))
    for call in (second, first):
        sound.revision += 1
        sound._write(call.keys[0], call.values[0])
        sound.calls.append(replace(call, revision=sound.revision))


def swap_that_should_not_hit(sound):
    sound.revision += 1
    sound._write(b"a", b"hit")
    sound.calls.append(Call("swap", (b"a",), 300, 301, (b"hit",), b"never there", sound.revision, True))


def wrong_version(sound):
    at = max(index for index, change in enumerate(sound.changes) if change.found)
    change = sound.changes[at]
    sound.changes[at] = replace(change, found=replace(change.found, version=change.found.version + 1))


def skip_a_revision(sound):
    sound.revision += 2
    sound._write(b"a", b"gap")
    sound.calls.append(Call("put", (b"a",), 300, 301, (b"gap",), None, sound.revision))


def wrong_value_read(sound):
    sound.change_call(
        lambda call: answered("get", "stale")(call) and call.found[0], found=lambda call: (replace(call.found[0], value=b"dirty"),)
    )


@pytest.mark.parametrize(
    "plant",
    [
        lose_a_write, write_twice, write_an_unanswered_one_twice, write_by_nobody, delete_by_nobody, tear_a_pair, stale_read,
        read_backwards, read_the_future, swap_order, swap_that_should_not_hit, wrong_version, skip_a_revision, wrong_value_read,
    ],
)  # fmt: skip
def test_what_must_not_happen_to_calls_is_found(plant):
    for seed in range(15):
        sound = Sound(seed)
        plant(sound)
        # Not found by the watchers, which are taken to have seen what is true.
        sound.watched = []
        with pytest.raises(Violation):
            sound.check()


def test_a_write_before_anybody_asked_for_it_is_found():
    found = Found(b"1", 2, 2, 1)
    changes = [Change(2, b"a", found), Change(3, b"a", None)]
    calls = [
        Call("put", (b"a",), 0, 1, (b"1",), None, 2),
        Call("get", (b"a",), 2, 3, (), None, 3, False, (None,)),
        Call("delete", (b"a",), 4),
    ]
    with pytest.raises(Violation, match="before anybody asked"):
        check(calls, {"m1": changes})


def events(watched, least=1):
    return [at for at, each in enumerate(watched.responses) if not isinstance(each, int) and len(each) >= least]


def lose_an_event(sound, watched):
    del watched.responses[sound.chance.choice(events(watched)[:-1])]


def lose_half_a_revision(sound, watched):
    watched.responses[sound.chance.choice(events(watched, 2))].pop()


def repeat_an_event(sound, watched):
    at = sound.chance.choice(events(watched))
    watched.responses.insert(at, watched.responses[at])


def reorder_events(sound, watched):
    at = events(watched)
    index = sound.chance.randrange(len(at) - 1)
    first, second = at[index], at[index + 1]
    watched.responses[first], watched.responses[second] = watched.responses[second], watched.responses[first]


def split_a_revision(sound, watched):
    at = sound.chance.choice(events(watched, 2))
    whole = watched.responses[at]
    watched.responses[at : at + 1] = [whole[:1], whole[1:]]


def progress_too_early(sound, watched):
    at = sound.chance.choice(events(watched))
    watched.responses.insert(at, watched.responses[at][-1].revision)


def another_value(sound, watched):
    at = sound.chance.choice([at for at in events(watched) if watched.responses[at][0].found])
    change = watched.responses[at][0]
    watched.responses[at] = [replace(change, found=replace(change.found, value=b"other")), *watched.responses[at][1:]]


def before_the_start(sound, watched):
    watched.start_revision += 30
    watched.responses = watched.responses[:1] + [each for each in watched.responses if not isinstance(each, int)][-1:]


@pytest.mark.parametrize(
    "plant",
    [
        lose_an_event, lose_half_a_revision, repeat_an_event, reorder_events, split_a_revision, progress_too_early, another_value,
        before_the_start,
    ],
)  # fmt: skip
def test_what_must_not_happen_to_watches_is_found(plant):
    for seed in range(15):
        sound = Sound(seed)
        plant(sound, sound.watched[0])
        with pytest.raises(Violation):
            sound.check()


def test_members_that_differ_are_found():
    sound = Sound(1)
    for other in (sound.changes[:-1], [*sound.changes[:-1], replace(sound.changes[-1], key=b"z")]):
        with pytest.raises(Violation):
            check(sound.calls, {"m1": sound.changes, "m2": other})


def part(kind, began, ended, value=None, **more):
    values, found = ((value,), ()) if kind in ("put", "swap") else ((), (value and Found(value, 0, 0, 0),))
    return Call(kind, (b"a",), began, ended, **({"values": values, "found": found} | more)), 0


@pytest.mark.parametrize(
    "is_sound, parts",
    [
        (True, [part("put", 0, 1, b"1"), part("get", 2, 3, b"1")]),
        (False, [part("put", 0, 1, b"1"), part("get", 2, 3)]),
        (True, [part("put", 0, 5, b"1"), part("get", 2, 3), part("get", 3.5, 4, b"1")]),
        (False, [part("put", 0, 5, b"1"), part("get", 2, 3, b"1"), part("get", 3.5, 4)]),
        (True, [part("put", 0, NEVER, b"1"), part("get", 2, 3), part("get", 8, 9, b"1")]),
        (False, [part("put", 0, NEVER, b"1"), part("get", 2, 3, b"1"), part("get", 8, 9)]),
        (False, [part("put", 0, 3, b"1"), part("put", 1, 2, b"2"), part("get", 4, 5, b"1"), part("get", 6, 7, b"2")]),
        (True, [part("put", 0, 3, b"1"), part("put", 1, 2, b"2"), part("get", 4, 5, b"1"), part("get", 6, 7, b"1")]),
        (False, [part("swap", 0, 3, b"1", succeeded=True), part("swap", 0, 3, b"2", succeeded=True)]),
        (True, [part("swap", 0, 3, b"1", succeeded=True), part("swap", 0, 3, b"2", succeeded=True, expected=b"1")]),
        (True, [part("put", 0, 1, b"1"), part("delete", 2, NEVER), part("get", 3, 4, b"1"), part("get", 5, 6)]),
        (False, [part("put", 0, 1, b"1"), part("delete", 2, 3, succeeded=False)]),
    ],
)
def test_order_by_values_alone(is_sound, parts):
    assert is_linearizable(parts) == is_sound


def test_search_without_revisions_finds_stale_reads_in_long_histories():
    for seed in range(10):
        sound = Sound(seed, 600)
        parts = [(call, 0) for call in sound.calls if call.kind in ("get", "put") and call.keys == (b"a",) and call.is_answered]
        # Pairs, swaps and deletions are left out, so only reads of puts are kept.
        written = {call.values[0] for call, _ in parts if call.kind == "put"}
        order, last = [], None
        for call, index in parts:
            if call.kind == "put":
                last = call.values[0]
            call = call if call.kind == "put" else replace(call, found=(last and Found(last, 0, 0, 0),))
            order.append((call, index))
        assert written and is_linearizable(order)
        puts = [call for call, _ in order if call.kind == "put"]
        old, newer = puts[3], next(call for call in puts if call.began > puts[3].ended)
        stale = Call("get", (b"a",), newer.ended + 0.01, newer.ended + 0.02, found=(Found(old.values[0], 0, 0, 0),))
        assert not is_linearizable([*order, (stale, 0)])
