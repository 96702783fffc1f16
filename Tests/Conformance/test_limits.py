"""Limits that operators set for clients: that each holds where it was put, beside real etcd where etcd has it too."""

import socket

import pytest

from harness.client import Outcome, operation, put_request, txn_request
from harness.daemon import etcd, quorate
from harness.http2 import frame, frames, grpc_head, preface_then

SETTINGS, PING, GOAWAY = 4, 6, 7
MOST_STREAMS = 3
ENHANCE_YOUR_CALM = 11


@pytest.fixture
def pair(daemons, reference):
    """Real etcd and the member under test with the same flags."""

    def make(*flags):
        return [daemons(software, software.name, flags=flags).start() for software in (etcd(reference), quorate())]

    return make


def connect(member, *more):
    connection = socket.create_connection(("127.0.0.1", member.client_port), timeout=20)
    connection.sendall(preface_then(*more))
    return connection


def settings(connection):
    """The server's, by number."""
    for kind, flags, _, payload in frames(connection):
        if kind == SETTINGS and not flags & 1:
            parts = [payload[at : at + 6] for at in range(0, len(payload), 6)]
            return {int.from_bytes(part[:2], "big"): int.from_bytes(part[2:], "big") for part in parts}


def test_requests_and_transactions_are_as_large_as_is_allowed(pair):
    members = pair("--max-request-bytes", "10000", "--max-txn-ops", "4")
    # Below the limit, above it, and past what is read at all: the limit and 512 KiB.
    for size in (9_000, 9_900, 10_001, 100_000, 600_000):
        expected, found = (each.client.outcome("KV/Put", put_request(b"k", b"x" * size)) for each in members)
        assert isinstance(expected, bytes) == isinstance(found, bytes) == (size < 10_000), size
        if size > 10_000:
            # gRPC tells how long the message was.
            assert found.code == expected.code and found.text.split(" (")[0] == expected.text.split(" (")[0], size
    for count in (4, 5):
        parts = [operation(put=put_request(b"k%d" % number, b"")) for number in range(count)]
        nested = [operation(txn=txn_request(success=parts))]
        for request in (txn_request(success=parts), txn_request(failure=parts), txn_request(success=nested)):
            expected, found = (each.client.outcome("KV/Txn", request) for each in members)
            if isinstance(expected, Outcome):
                assert expected == found and "too many operations" in found.text, count
            else:
                assert isinstance(found, bytes), count


def test_a_connection_has_as_many_streams_as_is_allowed(pair):
    for member in pair("--max-concurrent-streams", str(MOST_STREAMS)):
        with connect(member) as connection:
            assert settings(connection)[3] == MOST_STREAMS, member.software
            member.client.put(b"k", b"v")


def test_who_pings_too_often_is_sent_away(pair):
    """Three strikes, as in gRPC: the pings come with no stream open, where one in two hours would be in order."""
    for member in pair("--grpc-keepalive-min-time", "100s"):
        with connect(member, *[frame(PING, 0, 0, bytes(8))] * 10) as connection:
            goaways = [payload for kind, _, _, payload in frames(connection) if kind == GOAWAY]
        assert any(payload[4:8] == ENHANCE_YOUR_CALM.to_bytes(4, "big") and b"too_many_pings" in payload for payload in goaways), member.software


def test_who_says_nothing_is_asked_and_then_left(pair):
    for member in pair("--grpc-keepalive-interval", "1s", "--grpc-keepalive-timeout", "1s"):
        with connect(member, grpc_head(1, "Watch/Watch")) as connection:
            seen = [kind for kind, flags, _, _ in frames(connection) if kind == PING and not flags & 1]
        # The connection has ended by itself.
        assert seen, member.software
        member.client.put(b"k", b"v")


