"""etcd's v2 API and its long polls through the proxy, to etcd 3.4 with `--enable-v2`."""

import contextlib
import http.client
import json
import socket
import threading
import time

import pytest
from harness import releases, web
from harness.daemon import etcd, poll
from harness.trio import Trio

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def old():
    release = releases.exact("3.4.23")
    if release is None:
        pytest.skip("no etcd 3.4.23")
    return etcd(release)


@pytest.fixture
def member(daemons, old):
    return daemons(old, "member", flags=["--enable-v2"]).start()


class Poll:
    """A request whose answer may take its time."""

    def __init__(self, port, path):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.connection.request("GET", path)
        self.response = self.body = self.error = None
        self.lines = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            self.response = self.connection.getresponse()
            while part := self.response.read1(65536):
                self.lines += [json.loads(line) for line in part.splitlines()]
        except (http.client.HTTPException, OSError) as error:
            self.error = error

    def end(self, seconds=10):
        """All that was answered."""
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "the poll goes on"
        if self.error is not None:
            raise self.error
        return self.lines

    def close(self):
        if self.connection.sock and self.thread.is_alive():
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.connection.close()


def put(port, key, value, query=""):
    return web.request(port, f"/v2/keys/{key}{query}", "PUT", f"value={value}", FORM)


def test_requests_mean_what_they_mean_to_the_member(member, proxies):
    """Made of both in turn: the answers are the same but for the indexes, and so are the header fields that tell of them."""
    proxy = proxies([member.client_url], mode="http").start()

    def conversation(port, folder):
        replies = [
            put(port, f"{folder}/a", "1"), put(port, f"{folder}/a", "2", "?prevValue=1"), put(port, f"{folder}/a", "3", "?prevValue=1"),
            put(port, f"{folder}/b", "1", "?prevExist=true"), put(port, f"{folder}/c", "1", "?ttl=100"),
            web.request(port, f"/v2/keys/{folder}/queue", "POST", "value=first", FORM),
            web.request(port, f"/v2/keys/{folder}/a"), web.request(port, f"/v2/keys/{folder}/a?quorum=true"),
            web.request(port, f"/v2/keys/{folder}?recursive=true&sorted=true"), web.request(port, f"/v2/keys/{folder}/none"),
            web.request(port, f"/v2/keys/{folder}/a", "HEAD"), web.request(port, f"/v2/keys/{folder}/a", "PATCH"),
            web.request(port, f"/v2/keys/{folder}/a?prevValue=7", "DELETE"), web.request(port, f"/v2/keys/{folder}/a", "DELETE"),
            web.request(port, f"/v2/keys/{folder}?recursive=true", "DELETE"), web.request(port, "/v2/members"),
            web.request(port, "/v2/keys/a?wait=neither"),
        ]  # fmt: skip
        return [comparable(reply, folder) for reply in replies]

    def comparable(reply, folder):
        names = {"x-etcd-index", "x-etcd-cluster-id", "allow", "content-type"}
        return reply.status, sorted(names & reply.headers.keys()), without_numbers(reply.text.replace(folder, "folder"))

    direct, through = conversation(member.client_port, "direct"), conversation(proxy.port, "proxied")
    assert through == direct
    assert {201, 200, 404, 412, 405, 400} <= {status for status, _, _ in through}


def without_numbers(text):
    """Without what counts or tells the time."""
    try:
        body = json.loads(text)
    except ValueError:
        return text

    def strip(value):
        if isinstance(value, dict):
            changing = {"createdIndex", "modifiedIndex", "index", "expiration", "ttl"}
            return {
                name: "..." if name in changing or (name == "key" and "queue/" in each) else strip(each) for name, each in value.items()
            }
        return [strip(each) for each in value] if isinstance(value, list) else value

    return strip(body)


def test_long_polls_wait_and_streams_go_on(member, proxies):
    proxy = proxies([member.client_url], mode="http").start()
    index = json.loads(put(proxy.port, "a", "0").text)["node"]["modifiedIndex"]
    with contextlib.ExitStack() as stack:
        def started(query):
            request = Poll(proxy.port, f"/v2/keys/a?{query}")
            stack.callback(request.close)
            return request

        waiting, stream = started("wait=true"), started("wait=true&stream=true")
        # The head of the answer comes at once, as from etcd.
        poll(lambda: waiting.response and stream.response, 5, "both began")
        assert waiting.response.headers["X-Etcd-Index"] == str(index)
        assert not waiting.lines and waiting.thread.is_alive()
        put(proxy.port, "a", "1")
        assert [each["node"]["value"] for each in waiting.end()] == ["1"]
        put(proxy.port, "a", "2")
        poll(lambda: len(stream.lines) == 2, 5, lambda: stream.lines)
        # From an index on: what has been is answered at once.
        assert [each["node"]["value"] for each in started(f"wait=true&waitIndex={index + 2}").end()] == ["2"]
        # A client that goes is gone from the member as well; watchers are what it counts.
        stream.close()

        def watchers():
            return json.loads(web.request(member.client_port, "/v2/stats/store").text)["watchers"]

        # A watcher that waited for one event counts as one until the store's next (etcd's own way); the stream does not.
        poll(lambda: put(proxy.port, "a", "3") and watchers() == 0, 10, lambda: f"{watchers()} watchers")


def test_polls_end_with_their_member_and_reads_do_not(daemons, old, proxies):
    """A poll that breaks off may have missed something: its client is told so by the connection's end, and asks again from its index."""
    trio = Trio(daemons, old, flags=["--enable-v2"])
    proxy = proxies(trio.urls, "--policy", "round-robin", mode="http").start()
    proxy.wait_for_all()
    index = json.loads(put(proxy.port, "a", "0").text)["node"]["modifiedIndex"]
    polls = [Poll(proxy.port, f"/v2/keys/a?wait=true&waitIndex={index + 1}") for _ in range(6)]
    poll(lambda: all(each.response for each in polls), 5, "all began")
    # Without an election, which writes of this API wait for.
    status = {member: member.client.status() for member in trio.members}
    next(member for member, told in status.items() if told["leader"] != told["header"]["member_id"]).kill()
    for _ in range(10):
        assert web.request(proxy.port, "/v2/keys/a").status == 200
    poll(lambda: sum(not each.thread.is_alive() for each in polls) == 2, 5, "those at the killed member ended")
    broken = [each for each in polls if not each.thread.is_alive()]
    assert all(each.error is not None and not each.lines for each in broken), [(each.error, each.lines) for each in broken]
    # Again from the same index, at the members that are left: nothing was missed.
    again = [Poll(proxy.port, f"/v2/keys/a?wait=true&waitIndex={index + 1}") for _ in broken]

    def written():
        return put(proxy.port, "a", "1", "?prevValue=0").status in (200, 412)

    poll(written, 10, "a write succeeds")
    for each in [*polls, *again]:
        if each not in broken:
            assert [line["node"]["value"] for line in each.end()] == ["1"]
        each.close()


def test_read_only_refuses_as_etcds_old_proxy_did(member, proxies):
    proxy = proxies([member.client_url], "--readonly", mode="http").start()
    put(member.client_port, "a", "1")
    waiting = Poll(proxy.port, "/v2/keys/a?wait=true")
    poll(lambda: waiting.response, 5, "began")
    for method in ("PUT", "POST", "DELETE"):
        refused = web.request(proxy.port, "/v2/keys/a", method, "value=2", FORM)
        assert (refused.status, refused.text) == (501, ""), method
    assert json.loads(web.request(proxy.port, "/v2/keys/a").text)["node"]["value"] == "1"
    assert waiting.thread.is_alive()
    time.sleep(0.2)
    put(member.client_port, "a", "3")
    assert [each["node"]["value"] for each in waiting.end()] == ["3"]
    waiting.close()
