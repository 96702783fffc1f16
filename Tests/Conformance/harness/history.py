"""Checks what clients of a cluster were told: a history of calls, every member's list of changes, and what watchers saw.

Two checks of linearizability that know nothing of each other. One takes the revisions in the answers as the order in which everything
happened, and tests that order against the clock, against every answer and against the changes. The other looks at values alone, and
searches for any order at all, key by key.
"""

import bisect
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

NEVER = math.inf


class Violation(AssertionError):
    """What must not happen, in words."""


def require(condition, *words):
    if not condition:
        raise Violation(" ".join(str(word) for word in words))


@dataclass(frozen=True)
class Found:
    """A key as somebody saw it."""

    value: bytes
    create_revision: int
    mod_revision: int
    version: int


@dataclass(frozen=True)
class Call:
    """One request and what came of it. Values that are written are never written twice."""

    #: put, pair (two puts at once), delete, swap (put if the value is the expected one, else read), get, stale (a serializable get).
    kind: str
    keys: tuple
    began: float
    #: NEVER without an answer: it may have happened, or happen later.
    ended: float = NEVER
    values: tuple = ()
    #: Of a swap; None when the key was to be absent.
    expected: bytes = None
    #: The rest is from the answer: the header's revision, whether a swap or a deletion hit, and the keys that were read.
    revision: int = 0
    succeeded: bool = False
    found: tuple = ()

    @property
    def is_answered(self):
        return self.ended != NEVER

    @property
    def writes(self):
        """Whether an answered call changed something."""
        return self.kind in ("put", "pair") or (self.kind in ("swap", "delete") and self.succeeded)


@dataclass(frozen=True)
class Change:
    """One event, of a watch or of the whole history."""

    revision: int
    key: bytes
    #: None when the key was deleted.
    found: Found = None


@dataclass
class Watched:
    """What one watcher of a range was told, over all its connections."""

    name: str
    key: bytes
    end: bytes
    start_revision: int
    #: Changes as they came, one list for each response; a number is a progress notification.
    responses: list = field(default_factory=list)

    def covers(self, key):
        return self.key <= key < self.end


class Model:
    """The changes of a cluster from its first revision on, and the state at every one."""

    def __init__(self, changes):
        self.changes = list(changes)
        self.last_revision = self.changes[-1].revision if self.changes else 1
        self.by_revision = defaultdict(dict)
        self._revisions = defaultdict(list)
        self._states = defaultdict(list)
        expected = 1
        for change in self.changes:
            if change.revision != expected:
                require(change.revision == expected + 1, "revision", change.revision, "follows", expected)
                expected = change.revision
            require(change.key not in self.by_revision[change.revision], change.key, "changes twice at", change.revision)
            self._apply(change)

    def _apply(self, change):
        before, found = self.at(change.key, change.revision), change.found
        if found is None:
            require(before is not None, change.key, "is deleted at", change.revision, "and was not there")
        else:
            created = before.create_revision if before else change.revision
            version = before.version + 1 if before else 1
            right = (created, change.revision, version)
            told = (found.create_revision, found.mod_revision, found.version)
            require(told == right, change.key, "at", change.revision, "is numbered", told, "instead of", right)
        self.by_revision[change.revision][change.key] = found
        self._revisions[change.key].append(change.revision)
        self._states[change.key].append(found)

    def at(self, key, revision):
        """The key as of a revision, or None."""
        index = bisect.bisect_right(self._revisions.get(key, []), revision)
        return self._states[key][index - 1] if index else None

    def change(self, key, revision):
        """The new state of a key that changes at a revision."""
        require(key in self.by_revision.get(revision, {}), key, "does not change at", revision, "although a client was told so")
        return self.by_revision[revision][key]


def check(calls, changes_by_member, watched=()):
    """Everything. `changes_by_member`: the whole history as each member tells it."""
    lists = list(changes_by_member.items())
    for name, changes in lists[1:]:
        for mine, other in zip(lists[0][1], changes):
            require(mine == other, lists[0][0], "has", mine, "where", name, "has", other)
        require(len(lists[0][1]) == len(changes), name, "has another number of changes than", lists[0][0])
    model = Model(lists[0][1])
    points = [point for call in calls if (point := check_answer(call, model)) is not None]
    check_origins(calls, model)
    check_real_time(points)
    for each in watched:
        check_watched(each, model)
    check_values(calls, model)
    return model


# MARK: by revisions


def check_answer(call, model):
    """Tests one answer against the state at its revision. Returns (began, ended, place in the order) unless it has none."""
    if not call.is_answered:
        return _place_of_unanswered(call, model)
    require(call.revision <= model.last_revision, call, "has a revision that nobody knows")
    if call.kind == "delete":
        if call.succeeded:
            require(model.change(call.keys[0], call.revision) is None, call, "deleted what is there")
        else:
            require(model.at(call.keys[0], call.revision) is None, call, "found nothing where something is")
    elif call.writes:
        for key, value in zip(call.keys, call.values):
            state = model.change(key, call.revision)
            require(state is not None and state.value == value, call, "is", state, "in the history")
        if call.kind == "swap":
            before = model.at(call.keys[0], call.revision - 1)
            require((before.value if before else None) == call.expected, call, "replaced", before)
    else:
        for key, found in zip(call.keys, call.found, strict=True):
            require(found == model.at(key, call.revision), call, "read", found, "where", model.at(key, call.revision), "is")
            require(call.kind != "swap" or (found.value if found else None) != call.expected, call, "should have hit")
    if call.kind == "stale":
        return None
    return call.began, call.ended, 2 * call.revision + (0 if call.writes else 1), call


def _place_of_unanswered(call, model):
    """A write that happened without its client's knowledge is found by its value; all of it happened, and once."""
    if not call.values:
        return None
    places = [revision for key, value in zip(call.keys, call.values) for revision in _revisions_of(key, value, model)]
    if not places:
        return None
    require(len(places) == len(call.keys), call, "happened more or less than once, at", places)
    require(len(set(places)) == 1, call, "happened in parts, at", places)
    if call.kind == "swap":
        before = model.at(call.keys[0], places[0] - 1)
        require((before.value if before else None) == call.expected, call, "replaced", before)
    return call.began, NEVER, 2 * places[0], call


def _revisions_of(key, value, model):
    return [
        revision
        for revision, state in zip(model._revisions.get(key, []), model._states.get(key, []))
        if state is not None and state.value == value
    ]


def check_origins(calls, model):
    """Every change is somebody's, and nobody's more than once."""
    written = Counter()
    senders = {(key, value) for call in calls for key, value in zip(call.keys, call.values)}
    known = {(call.keys[0], call.revision) for call in calls if call.kind == "delete" and call.succeeded}
    unexplained = defaultdict(list)
    for change in model.changes:
        if change.found is not None:
            require((change.key, change.found.value) in senders, change, "was written by nobody")
            written[change.key, change.found.value] += 1
        elif (change.key, change.revision) not in known:
            unexplained[change.key].append(change.revision)
    repeated = [each for each, count in written.items() if count > 1]
    require(not repeated, "written twice:", repeated[:3])
    told_at = _first_told(calls)
    for key, revisions in unexplained.items():
        perhaps = sorted(call.began for call in calls if call.kind == "delete" and not call.is_answered and call.keys == (key,))
        require(len(perhaps) >= len(revisions), key, "was deleted by nobody, at one of", revisions)
        for began, revision in zip(perhaps, revisions):
            require(began <= told_at(revision), key, "was deleted at", revision, "before anybody asked for it")


def _first_told(calls):
    """When a client first knew that a revision had been reached."""
    answers = sorted((call.revision, call.ended) for call in calls if call.is_answered)
    earliest, best = [], NEVER
    for _, ended in reversed(answers):
        best = min(best, ended)
        earliest.append(best)
    earliest.reverse()
    revisions = [revision for revision, _ in answers]

    def told_at(revision):
        index = bisect.bisect_left(revisions, revision)
        return earliest[index] if index < len(earliest) else NEVER

    return told_at


def check_real_time(points):
    """Whatever was over before something else began has its place before it."""
    ends = sorted((point for point in points if point[1] != NEVER), key=lambda point: point[1])
    over, newest = 0, (0, None)
    for began, _, place, call in sorted(points, key=lambda point: point[0]):
        while over < len(ends) and ends[over][1] < began:
            newest = max(newest, (ends[over][2], ends[over][3]), key=lambda pair: pair[0])
            over += 1
        require(newest[0] <= place, call, "comes before", newest[1], "which was over when it began")


# MARK: watches


def check_watched(watched, model):
    """In order, once, whole revisions at a time, none left out, and progress told only when it was made."""
    last, seen = watched.start_revision - 1, []
    for response in watched.responses:
        if isinstance(response, int):
            # Everything up to here is told; a member that is behind may repeat an older number.
            last = max(last, response)
            continue
        require(bool(response), watched.name, "was told nothing in a response")
        for change in response:
            require(change.revision > last, watched.name, "was told", change, "after", last)
        seen += response
        require(
            all(a.revision <= b.revision for a, b in zip(response, response[1:])), watched.name, "was told out of order:", response
        )
        last = response[-1].revision
    expected = [
        change for change in model.changes if watched.start_revision <= change.revision <= last and watched.covers(change.key)
    ]
    # Order within a revision is not promised.
    order = lambda change: (change.revision, change.key)  # noqa: E731
    for told, right in zip(sorted(seen, key=order), sorted(expected, key=order)):
        require(told == right, watched.name, "was told", told, "where the history has", right)
    require(len(seen) == len(expected), watched.name, "was told", len(seen), "changes up to", last, "of", len(expected))


# MARK: by values alone


def check_values(calls, model):
    """Each key by itself, without a look at revisions. `model` only tells which unanswered writes may be left out."""
    happened = {(change.key, change.found.value) for change in model.changes if change.found}
    by_key = defaultdict(list)
    for call in calls:
        if call.kind == "stale" or (not call.is_answered and call.kind == "get"):
            continue
        for index, key in enumerate(call.keys):
            if not call.is_answered and call.values and (key, call.values[index]) not in happened:
                continue
            by_key[key].append((call, index))
    for key, parts in by_key.items():
        require(is_linearizable(parts), "no order explains what clients were told of", key)


def _step(state, call, index):
    """The value after a call; Ellipsis when the call cannot have had its answer here."""
    if call.kind in ("put", "pair"):
        return call.values[index]
    if call.kind == "get":
        return state if state == _value(call.found[index]) else ...
    if call.kind == "delete":
        return None if not call.is_answered or call.succeeded == (state is not None) else ...
    # A swap.
    if not call.is_answered:
        return call.values[index] if state == call.expected else state
    if call.succeeded:
        return call.values[index] if state == call.expected else ...
    return state if state != call.expected and state == _value(call.found[index]) else ...


def _value(found):
    return found.value if found else None


SEARCH_STEPS = 2_000_000


def is_linearizable(parts):
    """Whether some order of calls on one key, each between its beginning and its end, gives all their answers (Wing and Gong's search
    with Lowe's memory of what was tried). `parts`: (call, which of its keys)."""
    moments = []
    for number, (call, _) in enumerate(parts):
        moments += [(call.began, 0, number), (call.ended, 1, number)]
    moments.sort()
    # A linked list of beginnings and ends; position 0 is its head.
    count = len(moments)
    following, preceding = list(range(1, count + 1)) + [0], [count] + list(range(count))
    ends = {number: at + 1 for at, (_, kind, number) in enumerate(moments) if kind == 1}

    def remove(at):
        following[preceding[at]], preceding[following[at]] = following[at], preceding[at]

    def put_back(at):
        following[preceding[at]] = preceding[following[at]] = at

    state, done, tried, path = None, 0, set(), []
    at = following[0]
    for _ in range(SEARCH_STEPS):
        if following[0] == 0:
            return True
        _, is_end, number = moments[at - 1]
        if not is_end:
            new = _step(state, *parts[number])
            key = (done | 1 << number, new)
            if new is not ... and key not in tried:
                tried.add(key)
                path.append((at, state, done))
                state, done = new, key[0]
                remove(at)
                remove(ends[number])
                at = following[0]
            else:
                at = following[at]
            continue
        if not path:
            return False
        at, state, done = path.pop()
        put_back(ends[moments[at - 1][2]])
        put_back(at)
        at = following[at]
    raise Violation(f"no answer after {SEARCH_STEPS} steps: {len(parts)} calls of one key are too many")
