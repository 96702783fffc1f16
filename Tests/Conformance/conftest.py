"""Fixtures: releases, a factory of daemons that are stopped at the end, and two members side by side."""

import os
import pathlib
import signal

import pytest

from harness import releases
from harness.daemon import Daemon, etcd, free_ports, kill_all, quorate
from harness.side_by_side import SideBySide
from harness.trio import Proxy

PROBES = ["--probe-interval", "300ms", "--probe-timeout", "500ms"]


def pytest_addoption(parser):
    parser.addoption("--line", default=releases.line, help="the line of etcd releases to compare with and to behave as: 3.5, 3.6, 3.7")
    group = parser.getgroup("random requests (test_differential.py)")
    group.addoption("--first-seed", type=int, default=100)
    group.addoption("--seeds", type=int, default=20, help="how many seeds the slow tests run")
    group.addoption("--steps", type=int, default=400, help="requests per seed")


def pytest_configure(config):
    releases.line = config.getoption("--line")
    # So that fixtures clean up, and no server is left behind, when the run is stopped from outside.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A shell starts what goes to the background with this one ignored, and so would etcdctl be, which is ended by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    # The limit of pytest.ini is for tests of seconds.
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1800))


def pytest_report_header():
    found = ", ".join(release.version for release in releases.available()) or "none"
    return f"binary under test: {quorate().command[0]}; etcd releases: {found}"


@pytest.fixture(scope="session", autouse=True)
def binary_under_test():
    binary = pathlib.Path(quorate().command[0])
    if not os.access(binary, os.X_OK):
        pytest.exit(f"{binary} is missing: build it (swift build -c release --product quorate), or set QUORATE_BINARY", 2)


@pytest.fixture(scope="session")
def reference():
    """The newest release of the line the binary under test is compared with."""
    release = releases.newest(releases.line)
    if release is None:
        pytest.exit(f"no etcd {releases.line} release: set ETCD_REFERENCE_DIR or run Tests/Conformance/fetch-etcd", 2)
    return release


@pytest.fixture
def daemons(request, tmp_path):
    """Makes daemons: daemons(software, "folder name", **options). All are gone when the test is."""
    made = []

    def make(software, folder, **options):
        daemon = Daemon(software, tmp_path / folder, **options)
        made.append(daemon)
        return daemon

    request.node.daemons = made
    yield make
    kill_all(made)


@pytest.fixture
def proxies(request, tmp_path):
    """Makes proxies that probe often: proxies(endpoints, flags). The port of a proxy's own pages is its `pages`."""
    made = []

    def make(endpoints, *flags, mode="tcp", folder="proxy", scheme="http"):
        (pages,) = free_ports(1)
        own = ["--mode", mode, "--listen-metrics-urls", f"http://127.0.0.1:{pages}", *PROBES, *map(str, flags)]
        proxy = Proxy(tmp_path / folder, endpoints, own, scheme)
        proxy.pages = pages
        made.append(proxy)
        return proxy

    request.node.proxies = made
    yield make
    for proxy in made:
        proxy.kill()


@pytest.fixture
def both(daemons, reference):
    """A fresh real etcd and a fresh member under test, to be given the same commands."""
    session = SideBySide(daemons(etcd(reference), "reference"), daemons(quorate(), "ours"), reference)
    session.start()
    yield session
    session.close()


@pytest.fixture(scope="module")
def module_both(tmp_path_factory, reference):
    """The same, shared by the tests of a file."""
    folder = tmp_path_factory.mktemp("both")
    made = [Daemon(etcd(reference), folder / "reference"), Daemon(quorate(), folder / "ours")]
    session = SideBySide(*made, reference)
    session.start()
    yield session
    session.close()
    kill_all(made)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for daemon in [*getattr(item, "daemons", []), *getattr(item, "proxies", [])]:
            report.sections.append((f"last lines of {daemon.log}", daemon.log_tail(6)))
