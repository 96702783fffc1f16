"""Frames of HTTP/2 byte by byte, for what no client library would send."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def preface_then(*frames):
    return PREFACE + SETTINGS + b"".join(frames)


def head(stream, method, path, fields=(), flags=4):
    """The header of a request, without HPACK's tables and without Huffman's code."""
    fields = {":method": method, ":scheme": "http", ":path": path, ":authority": "a", **dict(fields)}
    block = b"".join(b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in field) for field in fields.items())
    return frame(1, flags, stream, block)


def grpc_head(stream, method, **fields):
    """The header of a call, `grpc_timeout="1S"` for a field `grpc-timeout`."""
    own = {"content-type": "application/grpc", "te": "trailers"}
    return head(stream, "POST", f"/etcdserverpb.{method}", own | {name.replace("_", "-"): value for name, value in fields.items()})


def grpc_data(stream, message, flags=0):
    """One message, after which more may follow unless the flags say otherwise."""
    return frame(0, flags, stream, b"\0" + len(message).to_bytes(4, "big") + message)


def whole_frames(received):
    """The whole frames among bytes as (kind, flags, stream, payload)."""
    at = 0
    while at + 9 <= len(received) and (end := at + 9 + int.from_bytes(received[at : at + 3], "big")) <= len(received):
        yield received[at + 3], received[at + 4], int.from_bytes(received[at + 5 : at + 9], "big"), bytes(received[at + 9 : end])
        at = end


def frames(connection):
    """What comes on a socket, frame by frame, until its end."""
    received = b""
    while part := connection.recv(65536):
        received += part
        for each in whole_frames(received):
            yield each
            received = received[9 + len(each[3]) :]
