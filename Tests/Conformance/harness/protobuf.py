"""As much of the protocol buffer wire format as a client needs that wants to see the bytes."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(value):
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(*fields):
    """Encodes (number, value) pairs: int and bool as varint, bytes and str with their length. What is 0 or empty is left out."""
    out = bytearray()
    for number, value in fields:
        if not value:
            continue
        if isinstance(value, int):
            out += varint(number << 3 | VARINT) + varint(int(value))
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | BYTES) + varint(len(data)) + data
    return bytes(out)


def embedded(number, data):
    """A message field that is present even when empty."""
    return varint(number << 3 | BYTES) + varint(len(data)) + data


def _read_varint(data, position):
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def fields(data):
    """Yields (number, value) for every field: varints as unsigned int, the rest as bytes."""
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        kind = key & 7
        if kind == VARINT:
            value, position = _read_varint(data, position)
        else:
            if kind == BYTES:
                length, position = _read_varint(data, position)
            else:
                length = {FIXED64: 8, FIXED32: 4}[kind]
            value = data[position : position + length]
            position += length
        yield key >> 3, value


def decode(data, names):
    """A message as a dictionary. `names` maps field numbers to a name, ("name", [names]) for a message,
    with a "*" in front when it repeats. Missing numbers become 0 or b"" by use of .get; signed values are not converted."""
    result = {}
    for number, value in fields(data):
        description = names.get(number)
        if description is None:
            continue
        name, nested = description if isinstance(description, tuple) else (description, None)
        if nested is not None:
            value = decode(value, nested)
        if name.startswith("*"):
            result.setdefault(name[1:], []).append(value)
        else:
            result[name] = value
    return result
