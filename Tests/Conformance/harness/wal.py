"""The entries in the segments of a write-ahead log, as any software wrote them."""

from .protobuf import fields

ENTRY_RECORD = 2
#: Fields of etcdserverpb.InternalRaftRequest.
LEASE_CHECKPOINT = 11


def records(segment):
    """Type and data of every record; a segment ends with zeros."""
    position = 0
    while position + 8 <= len(segment):
        frame = int.from_bytes(segment[position : position + 8], "little")
        length = frame & ((1 << 56) - 1)
        padding = (frame >> 56) & 7 if frame >> 63 else 0
        if length == 0 or position + 8 + length + padding > len(segment):
            return
        found = dict(fields(segment[position + 8 : position + 8 + length]))
        yield found.get(1, 0), found.get(3, b"")
        position += 8 + length + padding


def entries(data_dir):
    """Index and data of every normal entry, in the order in which they were written."""
    for path in sorted((data_dir / "member" / "wal").glob("*.wal")):
        for kind, data in records(path.read_bytes()):
            if kind != ENTRY_RECORD:
                continue
            entry = dict(fields(data))
            if entry.get(1, 0) == 0:
                yield entry.get(3, 0), entry.get(4, b"")


def checkpoints(data_dir):
    """Every checkpoint of leases: {lease: remaining seconds}, 0 for its whole time."""
    found = []
    for _, data in entries(data_dir):
        try:
            request = dict(fields(data))
        except (ValueError, IndexError):
            continue
        # A bare v2 request has a number there.
        if not isinstance(request.get(LEASE_CHECKPOINT), bytes):
            continue
        items = [dict(fields(item)) for number, item in fields(request[LEASE_CHECKPOINT]) if number == 1]
        found.append({item.get(1, 0): item.get(2, 0) for item in items})
    return found


def remaining_times(data_dir):
    """What the checkpoints in a log come to."""
    result = {}
    for checkpoint in checkpoints(data_dir):
        result.update(checkpoint)
    return result
