"""Settings of the proxy in http mode that bound what it does, at values of their own and in a real process."""

import contextlib
import http.server
import json
import threading
import time

import grpc
import pytest
from harness import web
from harness.client import Client, range_request
from harness.daemon import etcd, free_ports, poll
from harness.upstreams import Gate, Scripted, connections_to

#: Servers that answer no probe of a member's are asked only whether they are there.
SCRIPTED = ["--probe", "tcp", "--refresh-interval", "0", "--threads", "1"]


@pytest.fixture
def member(daemons, reference):
    return daemons(etcd(reference), "member").start()


def endpoints(proxy):
    """What the proxy says of each, by URL."""
    page = json.loads(web.request(proxy.pages, "/proxy/endpoints").text)
    return {each["endpoint"]: each for each in page["endpoints"]}


def started(proxies, urls, *flags, folder="proxy"):
    """A proxy that has forwarded nothing yet."""
    proxy = proxies(urls, "--policy", "round-robin", *flags, mode="http", folder=folder)
    proxy.start_without_waiting()
    return proxy.wait_for_all(len(urls))


def test_connecting_takes_a_request_no_longer_than_it_may(member, proxies):
    """Nothing answers at the address, not even with a refusal: requests go on to the other one."""
    gate = Gate(member.client_port)
    proxy = started(proxies, [gate.url, member.client_url], "--connect-timeout", "300ms", "--refresh-interval", "0", "--threads", "1")
    # Probes go on over the connection that they have.
    gate.swallow()
    requests = {
        "KV/Put": lambda client: client.put(b"a", b"1"),
        "KV/Range": lambda client: client.range(b"a"),
        "POST /v3/kv/range": lambda _: json.loads(web.request(proxy.port, "/v3/kv/range", "POST", '{"key":"YQ=="}').text)["kvs"],
    }
    with Client(proxy.endpoint) as client:
        for name, request in requests.items():
            # One of two goes to the address that swallows it first.
            for _ in range(2):
                began = time.monotonic()
                assert request(client), name
                # Without the limit the kernel would try for minutes.
                assert time.monotonic() - began < 5, name
    assert endpoints(proxy)[gate.url]["failed"] >= 1 and endpoints(proxy)[gate.url]["succeeded"] == 0


def test_replies_are_held_back_up_to_the_size_given(proxies):
    """The member fails after its reply's message, the first time: who holds it back asks again, who passed it on cannot."""
    small, large = 10_000, 1_500_000

    def fails_first(size):
        def answer(number, context):
            yield bytes(size)
            if number == 0:
                context.abort(grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader")

        return answer

    for size, limit, is_held in ((small, 1_000, False), (large, 2 << 20, True)):
        with Scripted(fails_first(size)) as scripted:
            proxy = started(proxies, scripted.urls, *SCRIPTED, "--replay-buffer-bytes", limit, folder=f"limit-{limit}")
            with Client(proxy.endpoint) as client:
                outcome = client.outcome("KV/Range", range_request(b"a"))
            assert (len(outcome) if isinstance(outcome, bytes) else outcome.code) == (size if is_held else "UNAVAILABLE")
            assert scripted.calls == (2 if is_held else 1)
            proxy.kill()


def test_retries_follow_the_budget_given(proxies):
    """Every endpoint is asked at once while the budget lasts; without one there is a pause before each attempt, longer every time."""

    def never(_, context):
        context.abort(grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader")
        yield b""

    attempts = {}
    for percent, per_second in ((0, 0), (1_000, 1_000)):
        with Scripted(never, addresses=12) as scripted:
            flags = ["--retry-percent", percent, "--retry-per-second", per_second, "--ejection-failures", 1_000_000]
            proxy = started(proxies, scripted.urls, *SCRIPTED, *flags, folder=f"budget-{percent}")
            with Client(proxy.endpoint) as client:
                assert not isinstance(client.outcome("KV/Range", range_request(b"a"), timeout=1), bytes)
            attempts[percent] = scripted.calls
            proxy.kill()
    # Pauses of 20, 40, 80, 160, 320 and 500 ms are more than the call's second.
    assert 2 <= attempts[0] <= 6 and attempts[1_000] >= 12, attempts


def test_who_fails_requests_is_ejected_and_counted(member, proxies):
    """Although it passes its probes."""

    def never(_, context):
        context.abort(grpc.StatusCode.UNAVAILABLE, "no")
        yield b""

    with Scripted(never) as scripted:
        (bad,) = scripted.urls
        flags = ["--ejection-failures", 3, "--ejection-time", "60s"]
        proxy = started(proxies, [bad, member.client_url], *SCRIPTED, *flags)
        with Client(proxy.endpoint) as client:
            for _ in range(12):
                client.range(b"a")
            poll(lambda: proxy.states()[bad] == "ejected", 5, proxy.states)
            counted = web.metrics(proxy.pages)["quorate_proxy_endpoint_ejections_total"][2]
            assert counted == {f'{{endpoint="{bad}"}}': 1, f'{{endpoint="{member.client_url}"}}': 0}
            assert endpoints(proxy)[bad]["ejections"] == 1
            calls = scripted.calls
            for _ in range(6):
                client.range(b"a")
            assert scripted.calls == calls
            # There is nobody else any more: one that fails requests is better than none.
            member.kill()
            client.outcome("KV/Range", range_request(b"a"), timeout=2)
            assert scripted.calls > calls


def test_when_all_look_bad_all_are_used(daemons, proxies, reference):
    """Members whose pages of health nobody can reach; what they are asked through the proxy they answer."""
    (nobody,) = free_ports(1)
    urls = [daemons(etcd(reference), name, name=name).start().client_url for name in ("one", "two")]
    flags = ["--probe", "http", "--probe-port", nobody, "--refresh-interval", "0", "--threads", "1", "--policy", "round-robin"]
    proxy = proxies(urls, *flags, mode="http").start()
    assert proxy.states() == dict.fromkeys(urls, "down")
    with Client(proxy.endpoint) as client:
        answered = {client.put(b"a", b"1")["header"]["member_id"] for _ in range(4)}
    assert len(answered) == 2
    assert web.request(proxy.pages, "/health").status == 503


def test_connections_to_a_member_are_as_many_as_given(member, proxies):
    """Each stream on the one that has least to do."""
    proxy = started(proxies, [member.client_url], "--threads", "1", "--upstream-connections", "3", "--refresh-interval", "0")
    before = connections_to(member.client_port)
    with Client(proxy.endpoint) as client, contextlib.ExitStack() as stack:
        streams = []
        for number in range(7):
            streams.append(stack.enter_context(client.watch(b"a")))
            assert next(streams[-1])["created"]
            expected = min(number + 1, 3)
            poll(lambda: connections_to(member.client_port) - before == expected, 5, lambda: connections_to(member.client_port) - before)
        revision = client.put(b"a", b"1")["header"]["revision"]
        for stream in streams:
            assert next(stream)["events"][0]["kv"]["mod_revision"] == revision


class Pages(threading.Thread):
    """Answers every request over HTTP/1.1 with `status`, and counts them."""

    def __init__(self):
        super().__init__(daemon=True)
        pages = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # noqa: N802
                pages.asked += 1
                self.send_response(pages.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.status, self.asked = 200, 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.start()

    def run(self):
        self.server.serve_forever(0.05)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def test_probes_count_up_and_down_as_given(proxies):
    """So many failed ones in a row until an endpoint is left, and so many passed ones until it is taken back."""
    pages = Pages()
    try:
        flags = ["--probe", "http", "--probe-fall", 6, "--probe-rise", 5, "--probe-interval", "100ms", "--refresh-interval", "0"]
        # One that is not answered would be enough by itself.
        flags += ["--probe-timeout", "20s"]
        proxy = proxies([pages.url], *flags, mode="http")
        proxy.start_without_waiting()
        proxy.wait_for_all(1)
        for status, state, least in ((500, "down", 6), (200, "serving", 5)):
            before = pages.asked
            pages.status = status
            poll(lambda state=state: proxy.states() == {pages.url: state}, 15, proxy.states, 0.01)
            # One may have been under way, and some more been asked until it was looked at.
            assert pages.asked - before >= least - 1, (status, pages.asked - before)
        assert endpoints(proxy)[pages.url]["failed"] == 0
    finally:
        pages.close()


def test_streams_of_a_connection_are_as_many_as_given(member, proxies):
    """More than that wait at the client, which was told how many there may be."""
    proxy = started(proxies, [member.client_url], "--max-concurrent-streams", "2", "--refresh-interval", "0")
    with Client(proxy.endpoint) as client, contextlib.ExitStack() as stack:
        for _ in range(2):
            assert next(stack.enter_context(client.watch(b"a")))["created"]
        assert client.outcome("KV/Range", range_request(b"a"), timeout=1).code == "DEADLINE_EXCEEDED"
        assert proxy.in_flight() == {member.client_url: 2}
        stack.close()
        client.range(b"a")
