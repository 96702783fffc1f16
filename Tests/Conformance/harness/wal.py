"""The entries in the segments of a write-ahead log, as any software wrote them, and more of them written behind."""

from .protobuf import VARINT, embedded, fields, varint

ENTRY_RECORD, STATE_RECORD = 2, 3
NORMAL, CHANGE, CHANGE_V2 = 0, 1, 2
#: Fields of etcdserverpb.InternalRaftRequest.
LEASE_CHECKPOINT = 11


def _table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


CASTAGNOLI = tuple(_table())


def checksum(data, before=0):
    """CRC-32C, going on from that of what came before."""
    crc = before ^ 0xFFFFFFFF
    for byte in data:
        crc = CASTAGNOLI[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _number(field, value):
    """A number that is there even when it is zero."""
    return varint(field << 3 | VARINT) + varint(value)


def _record(kind, crc, data):
    body = _number(1, kind) + _number(2, crc) + embedded(3, data)
    padding = -len(body) % 8
    length = len(body) | ((0x80 | padding) << 56 if padding else 0)
    return length.to_bytes(8, "little") + body + bytes(padding)


def append(data_dir, items):
    """Writes committed entries, (kind, data) each, behind the last one of a log that nobody has open. Returns the last index."""
    path = sorted((data_dir / "member" / "wal").glob("*.wal"))[-1]
    segment = bytearray(path.read_bytes())
    end = crc = index = 0
    state = b""
    for kind, data, stored, position in _frames(segment):
        end, crc = position, stored
        if kind == ENTRY_RECORD:
            index = dict(fields(data))[3]
        elif kind == STATE_RECORD:
            state = data
    hard_state = dict(fields(state))
    added = b""
    new = []
    for kind, data in items:
        index += 1
        new.append((ENTRY_RECORD, _number(1, kind) + _number(2, hard_state[1]) + _number(3, index) + embedded(4, data)))
    new.append((STATE_RECORD, _number(1, hard_state[1]) + _number(2, hard_state[2]) + _number(3, index)))
    for kind, data in new:
        crc = checksum(data, crc)
        added += _record(kind, crc, data)
    segment[end : end + len(added)] = added
    path.write_bytes(segment)
    return index


def edit_snapshot(data_dir, change):
    """Gives the newest .snap file another ConfState: what `change` makes of the bytes of the one it has."""
    path = sorted((data_dir / "member" / "snap").glob("*.snap"))[-1]
    snapshot = dict(fields(dict(fields(path.read_bytes()))[2]))
    metadata = dict(fields(snapshot[2]))
    metadata = embedded(1, change(metadata[1])) + _number(2, metadata[2]) + _number(3, metadata[3])
    data = embedded(1, snapshot[1]) + embedded(2, metadata)
    path.write_bytes(_number(1, checksum(data)) + embedded(2, data))


def records(segment):
    """Type and data of every record; a segment ends with zeros."""
    for kind, data, _, _ in _frames(segment):
        yield kind, data


def _frames(segment):
    """Type, data and checksum of every record, and where it ends."""
    position = 0
    while position + 8 <= len(segment):
        frame = int.from_bytes(segment[position : position + 8], "little")
        length = frame & ((1 << 56) - 1)
        padding = (frame >> 56) & 7 if frame >> 63 else 0
        if length == 0 or position + 8 + length + padding > len(segment):
            return
        found = dict(fields(segment[position + 8 : position + 8 + length]))
        position += 8 + length + padding
        yield found.get(1, 0), found.get(3, b""), found.get(2, 0), position


def entries(data_dir):
    """Index and data of every normal entry, in the order in which they were written."""
    for path in sorted((data_dir / "member" / "wal").glob("*.wal")):
        for kind, data in records(path.read_bytes()):
            if kind != ENTRY_RECORD:
                continue
            entry = dict(fields(data))
            if entry.get(1, 0) == 0:
                yield entry.get(3, 0), entry.get(4, b"")


def fields_of(data):
    """The numbers of an entry's fields; none for one that is no request of the v3 API."""
    try:
        found = list(fields(data))
    except (ValueError, IndexError, KeyError):
        return set()
    return {number for number, value in found if isinstance(value, bytes)}


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
