"""What a member tells systemd, heard on a socket that plays systemd's part."""

import contextlib
import os
import pathlib
import signal
import socket

import pytest

from harness import web

from harness.daemon import Daemon, Software, free_ports, poll, quorate
from harness.notify_socket import NotifySocket

ALL_CODES = {"configuration": 1, "corrupt": 65, "listen": 69, "locked": 75}


@pytest.fixture
def notify(tmp_path):
    made = []

    def make(**options):
        made.append(NotifySocket(tmp_path / f"notify{len(made)}", **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def member(daemons, socket, *flags, folder="ours", **environment):
    return daemons(quorate(), folder, flags=flags, environment=socket.environment | environment)


def is_ready(message):
    return message.get("READY") == "1"


def is_stopping(message):
    return message.get("STOPPING") == "1"


def test_order_of_messages_from_start_to_stop(daemons, notify):
    socket = notify()
    daemon = member(daemons, socket).spawn()
    ready, _ = socket.wait(is_ready)
    daemon.wait_ready()
    assert ready["STATUS"].startswith("leader, term "), ready
    daemon.process.send_signal(signal.SIGHUP)
    socket.wait(lambda message: "RELOADING" in message)
    poll(lambda: len(socket.times("READY")) == 2, 10, "reloaded")
    assert daemon.stop() == 0
    said = socket.messages
    assert socket.kinds() == [
        "EXTEND_TIMEOUT_USEC", "READY", "RELOADING+MONOTONIC_USEC", "READY", "STOPPING+EXTEND_TIMEOUT_USEC",
    ], said  # fmt: skip
    reloading = next(message for message in said if "RELOADING" in message)
    assert int(reloading["MONOTONIC_USEC"]) > 0
    assert said[-1].get("STATUS"), "somebody who looks while it stops is told what is going on"


def test_nothing_is_said_without_a_socket(daemons, notify):
    socket = notify()
    daemon = daemons(quorate(), "ours", environment={"WATCHDOG_USEC": "1000000"}).start()
    assert not any(name == "systemd" for name in thread_names(daemon))
    daemon.stop()
    assert socket.messages == []


def thread_names(daemon):
    folder = f"/proc/{daemon.process.pid}/task"
    return [open(f"{folder}/{task}/comm").read().strip() for task in os.listdir(folder)]


def test_status_names_what_matters(daemons, notify):
    socket = notify()
    daemon = member(daemons, socket, "--quota-backend-bytes", str(64 << 20)).start()
    status = socket.wait(is_ready)[0]["STATUS"]
    for part in ("leader", "term 2", "of 64.0 MiB", "1 of 1 member up", "no alarms", "revision "):
        assert part in status, status
    daemon.client.put(b"a", b"b")
    socket.wait(lambda message: "revision 2" in message.get("STATUS", ""), 25)


def test_the_watchdog_is_fed_at_half_its_interval(daemons, notify):
    socket = notify(watchdog_seconds=2)
    daemon = member(daemons, socket).start()
    poll(lambda: len(socket.times("WATCHDOG")) >= 5, 20, "five signs of life")
    times = socket.times("WATCHDOG")
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert all(gap < 1.6 for gap in gaps), gaps
    assert sum(gaps) / len(gaps) > 0.8, gaps
    daemon.stop()


def assert_falls_silent(daemon, socket, name):
    """SIGHUP stalls a loop, as the environment has it: systemd is told which, and hears no more signs of life."""
    poll(lambda: socket.times("WATCHDOG"), 20, "a sign of life")
    daemon.process.send_signal(signal.SIGHUP)
    message, _ = socket.wait(lambda message: "not responding" in message.get("STATUS", ""), 20)
    assert name in message["STATUS"]
    silent = len(socket.times("WATCHDOG"))
    with contextlib.suppress(AssertionError):
        poll(lambda: len(socket.times("WATCHDOG")) > silent, 2.5, "nothing")
    assert len(socket.times("WATCHDOG")) == silent


@pytest.mark.parametrize(
    ("stall", "name"), [("member", "member thread"), ("page-file", "page thread"), ("loop", "event loop")]
)
def test_a_stalled_loop_silences_the_watchdog(daemons, notify, stall, name):
    socket = notify(watchdog_seconds=2)
    daemon = member(daemons, socket, QUORATE_TEST_STALL=stall).start()
    assert_falls_silent(daemon, socket, name)
    daemon.kill()


def test_a_slow_replay_asks_for_more_time(daemons, notify):
    socket = notify()
    daemon = member(daemons, socket, QUORATE_TEST_SLOW_REPLAY="7").spawn()
    _, before = socket.wait(is_ready, 30)
    asked = [message for message in before if "EXTEND_TIMEOUT_USEC" in message]
    assert len(asked) >= 2 and all(int(message["EXTEND_TIMEOUT_USEC"]) >= 10_000_000 for message in asked)
    assert len({message["STATUS"] for message in asked}) == len(asked), "each tells how far it is"
    daemon.stop()


def test_ready_when_serving_does_not_wait_for_an_election(daemons, notify):
    slow = ("--heartbeat-interval", "1000", "--election-timeout", "20000", "--initial-election-tick-advance=false")
    socket = notify()
    daemon = member(daemons, socket, *slow, "--ready-when", "serving").spawn()
    ready, _ = socket.wait(is_ready, 10)
    assert "no leader" in ready["STATUS"]
    daemon.stop()


def failure_of(daemon, socket):
    code = daemon.wait_exit(20)
    message, before = socket.wait(is_stopping)
    assert not any(is_ready(each) for each in before)
    assert message["EXIT_STATUS"] == str(code) and int(message["ERRNO"]) > 0, message
    return code, message["STATUS"]


def test_failures_at_start_have_codes_of_their_own(daemons, notify, tmp_path):
    socket = notify()
    first = member(daemons, socket).start()

    other = notify()
    second = daemons(quorate(), "second", environment=other.environment, data_dir=first.data_dir).spawn()
    code, status = failure_of(second, other)
    assert code == ALL_CODES["locked"] and "lock" in status, status

    other = notify()
    third = daemons(quorate(), "third", environment=other.environment)
    third.client_port = first.client_port
    third.spawn()
    code, status = failure_of(third, other)
    assert code == ALL_CODES["listen"] and "cannot listen" in status, status
    first.stop()

    segment = next(first.data_dir.glob("member/wal/*.wal"))
    content = bytearray(segment.read_bytes())
    content[20] ^= 0xFF
    segment.write_bytes(content)
    other = notify()
    first.environment = other.environment
    code, status = failure_of(first.spawn(), other)
    assert code == ALL_CODES["corrupt"] and "wal" in status, status

    other = notify()
    wrong = daemons(quorate(), "wrong", flags=("--ready-when", "perhaps"), environment=other.environment).spawn()
    code, status = failure_of(wrong, other)
    assert code == 2 and "ready-when" in status, status
    other = notify()
    wrong = daemons(quorate(), "wrong", flags=("--name", ""), environment=other.environment | {"ETCD_NAME": "x"}).spawn()
    code, status = failure_of(wrong, other)
    assert code == ALL_CODES["configuration"] and "ETCD_NAME" in status, status


def test_a_reload_puts_a_new_log_level_in_force_and_refuses_nonsense(daemons, notify, tmp_path):
    socket = notify()
    daemon = daemons(quorate(), "ours", environment=socket.environment)
    file = tmp_path / "member.yaml"

    def write(level):
        file.write_text(
            f"name: default\ndata-dir: {daemon.data_dir}\nlog-level: {level}\n"
            f"listen-client-urls: {daemon.client_url}\nadvertise-client-urls: {daemon.client_url}\n"
            f"listen-peer-urls: {daemon.peer_url}\ninitial-advertise-peer-urls: {daemon.peer_url}\n"
            f"initial-cluster: default={daemon.peer_url}\n"
        )

    def reload():
        count = len(socket.times("READY"))
        daemon.process.send_signal(signal.SIGHUP)
        poll(lambda: len(socket.times("READY")) > count, 10, "reloaded")
        return [message for message in socket.messages if is_ready(message)][-1]["STATUS"]

    write("error")
    daemon.spawn([*quorate().command, "--config-file", str(file)])
    socket.wait(is_ready)
    assert "reloaded" not in daemon.log_text()
    write("info")
    assert reload().startswith("leader")
    poll(lambda: "reloaded the configuration" in daemon.log_text(), 5, "a line at the new level")
    write("nonsense")
    assert reload().startswith("reload failed, the old configuration stays: ")
    daemon.wait_ready()
    daemon.stop()


def handed_over(arguments, sockets):
    """A command line that starts a program with listening sockets as systemd hands them over: [(name, socket)]."""
    names = ":".join(name for name, _ in sockets)
    redirections = " ".join(f"{3 + index}<&{each.fileno()}" for index, (_, each) in enumerate(sockets))
    script = f'LISTEN_PID=$$ LISTEN_FDS={len(sockets)} LISTEN_FDNAMES={names} exec "$@" {redirections}'
    return ["bash", "-c", "export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES; " + script, "bash", *arguments]


def listening(port=0):
    # Numbers far from those that systemd uses, so that none is overwritten before it is copied.
    with socket.create_server(("127.0.0.1", port)) as made:
        return socket.socket(fileno=os.dup2(made.fileno(), 100 + len(os.listdir("/proc/self/fd")), inheritable=True))


def test_sockets_that_systemd_opened_are_used(daemons, tmp_path):
    daemon = daemons(quorate(), "ours")
    client, peer, metrics = listening(), listening(), listening()
    daemon.client_port, daemon.peer_port = client.getsockname()[1], peer.getsockname()[1]
    metrics_port = metrics.getsockname()[1]
    daemon.flags = ["--listen-metrics-urls", f"http://127.0.0.1:{metrics_port}"]
    given = [("client", client), ("peer", peer), ("metrics", metrics)]
    daemon.descriptors = [each.fileno() for _, each in given]
    # Who connects before the member is there waits.
    waiting = socket.create_connection(("127.0.0.1", daemon.client_port))
    waiting.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
    daemon.spawn(handed_over(daemon.arguments(), given))
    daemon.wait_ready()
    waiting.settimeout(10)
    assert waiting.recv(1000).startswith(b"HTTP/1.1 200")
    waiting.close()
    poll(lambda: web.request(metrics_port, "/health").status == 200, 10, "healthy")
    assert web.request(daemon.peer_port, "/version").status == 200
    assert daemon.stop() == 0

    # The sockets outlive the member: clients that connect meanwhile are served by the next one.
    waiting = socket.create_connection(("127.0.0.1", daemon.client_port))
    waiting.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
    daemon.spawn(handed_over(daemon.arguments(), given))
    waiting.settimeout(20)
    assert waiting.recv(1000).startswith(b"HTTP/1.1 200")
    waiting.close()
    daemon.stop()

    daemon.spawn(handed_over(daemon.arguments(), [("strange", client)]))
    assert daemon.wait_exit(10) == ALL_CODES["configuration"] and '"strange"' in daemon.log_text()
    daemon.flags = []
    daemon.spawn(handed_over(daemon.arguments(), given))
    assert daemon.wait_exit(10) == ALL_CODES["listen"] and "has no such listener" in daemon.log_text()
    for _, each in given:
        each.close()


class Proxy(Daemon):
    def __init__(self, folder, endpoint_port, flags=(), environment=None):
        super().__init__(Software("proxy", [quorate().command[0], "proxy"]), folder, flags=flags, environment=environment)
        self.endpoint_port = endpoint_port

    def arguments(self):
        return [
            *self.software.command,
            "--mode", "tcp",
            "--listen-client-urls", self.client_url,
            "--endpoints", f"127.0.0.1:{self.endpoint_port}",
            "--data-dir", str(self.data_dir),
            "--probe-interval", "100ms",
            *self.flags,
        ]  # fmt: skip


@pytest.fixture
def proxies(tmp_path):
    made = []

    def make(*arguments, **options):
        made.append(Proxy(tmp_path / f"proxy{len(made)}", *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.mark.parametrize(("stall", "name"), [("loop", "event loop"), ("health", "health loop")])
def test_a_stalled_loop_of_the_proxy_silences_its_watchdog(daemons, proxies, notify, stall, name):
    socket = notify(watchdog_seconds=2)
    upstream = daemons(quorate(), "upstream").start()
    proxy = proxies(upstream.client_port, environment=socket.environment | {"QUORATE_TEST_STALL": stall}).spawn()
    socket.wait(is_ready)
    assert_falls_silent(proxy, socket, name)
    proxy.kill()


def test_a_proxy_is_ready_once_an_endpoint_is_healthy(daemons, proxies, notify):
    socket = notify(watchdog_seconds=2)
    upstream = daemons(quorate(), "upstream")
    proxy = proxies(upstream.client_port, environment=socket.environment).spawn()
    _, before = socket.wait(lambda message: "0 of 1 endpoints serve" in message.get("STATUS", ""))
    assert not any(is_ready(message) for message in before)
    upstream.start()
    ready, _ = socket.wait(is_ready)
    assert ready["STATUS"].startswith("tcp proxy, 1 of 1 endpoints serve"), ready
    proxy.wait_ready()
    proxy.process.send_signal(signal.SIGHUP)
    poll(lambda: len(socket.times("READY")) == 2, 10, "reloaded")
    poll(lambda: len(socket.times("WATCHDOG")) >= 3, 20, "three signs of life")
    upstream.stop()
    message, _ = socket.wait(lambda message: "0 of 1 endpoints serve, http://127.0.0.1:" in message.get("STATUS", ""), 20)
    assert proxy.stop() == 0
    # How long it waited decides how often it asked for more time.
    kinds = [kind for kind in socket.kinds() if kind != "EXTEND_TIMEOUT_USEC"]
    assert kinds == ["READY", "RELOADING+MONOTONIC_USEC", "READY", "STOPPING+EXTEND_TIMEOUT_USEC"], socket.messages


def test_a_proxy_that_serves_whatever_the_endpoints_do(proxies, notify):
    socket = notify()
    proxy = proxies(free_ports(1)[0], flags=("--ready-when", "serving"), environment=socket.environment).spawn()
    socket.wait(is_ready, 10)
    assert proxy.stop() == 0


def test_failures_of_a_proxy(proxies, notify):
    socket = notify()
    wrong = proxies(1, flags=("--policy", "perhaps"), environment=socket.environment).spawn()
    code, status = failure_of(wrong, socket)
    assert code == 2 and "policy" in status, status
    other = notify()
    second = proxies(1, environment=other.environment)
    with listening() as taken:
        second.client_port = taken.getsockname()[1]
        second.spawn()
        code, status = failure_of(second, other)
    assert code == ALL_CODES["listen"] and "cannot listen" in status, status


def test_a_proxy_uses_the_socket_that_systemd_opened(daemons, proxies):
    upstream = daemons(quorate(), "upstream").start()
    with listening() as given:
        proxy = proxies(upstream.client_port)
        proxy.client_port = given.getsockname()[1]
        proxy.descriptors = (given.fileno(),)
        for _ in range(2):
            # It connects while no proxy is there, and is served by the next one.
            waiting = socket.create_connection(("127.0.0.1", proxy.client_port))
            waiting.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
            proxy.spawn(handed_over(proxy.arguments(), [("proxy", given)]))
            waiting.settimeout(20)
            assert waiting.recv(1000).startswith(b"HTTP/1.1 200")
            waiting.close()
            assert proxy.stop() == 0
