"""Runs the commands of the runbook's pages as they stand there, on hosts that are directories and ports of this machine."""

import json
import pathlib
import re
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from dataclasses import dataclass

from . import releases
from .daemon import START_SECONDS, Software, clean_environment, free_ports
from .deployment import binary_under_test, yaml

PAGES = releases.ROOT / "runbook"
BLOCK_SECONDS = 120
NOTIFY_SECONDS = 2
CLIENT_PORT, PEER_PORT = 2379, 2380


@dataclass(frozen=True)
class Block:
    """What stands between two fences, and where: the hosts of its first line, the heading above it."""

    section: str
    hosts: tuple
    text: str


def blocks(page):
    """The blocks of commands of a page, in order. Before the first heading of a section, the section is ""."""
    found, section, lines = [], "", None
    for line in (PAGES / page).read_text().splitlines():
        if lines is None:
            if line.startswith("## "):
                section = line[3:]
            elif line == "```sh":
                lines = []
        elif line == "```":
            on = re.fullmatch(r"# on (node\d(?:(?:, | and )node\d)*)", lines[0])
            found.append(Block(section, tuple(re.findall(r"node\d", on[1])) if on else (), "\n".join(lines)))
            lines = None
        else:
            lines.append(line)
    assert lines is None, f"{page}: a block that does not end"
    return found


class Host:
    """A directory for everything on a host, and one member."""

    def __init__(self, make, folder, name):
        self.name = name
        self.folder = pathlib.Path(folder) / name
        self.etcd = self.folder / "usr-local-bin" / "etcd"
        for each in (self.etcd.parent, self.folder / "etc", self.folder / "lib", self.folder / "srv"):
            each.mkdir(parents=True)
        self.configuration = self.folder / "etc" / "etcd.conf"
        self.data = self.folder / "lib" / "etcd"
        self.daemon = make(Software("member", [self.etcd]), name, name=name, data_dir=self.data)

    def install(self, program):
        self.etcd.symlink_to(program)

    @property
    def client_url(self):
        """Where the configuration has it: members move."""
        return re.search(r"^advertise-client-urls: (\S+)$", self.configuration.read_text(), re.MULTILINE)[1]

    def start(self):
        self.daemon.spawn([str(self.etcd), "--config-file", str(self.configuration)])

    def await_listener(self, seconds):
        """Waits for a while until the member takes connections: etcdctl would wait longer for one that does not."""
        port = int(self.client_url.rpartition(":")[2])
        deadline = time.monotonic() + seconds
        while self.daemon.process.poll() is None and time.monotonic() < deadline:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)


class Hosts:
    """node1 to node5, what is installed on them, and one shell's variables for each page."""

    def __init__(self, make, reference, folder):
        self.folder = pathlib.Path(folder)
        self.reference = reference
        self.hosts = {name: Host(make, folder, name) for name in (f"node{number}" for number in range(1, 6))}
        self._ports = {}
        for number, host in enumerate(self.hosts.values(), 1):
            self._ports[f"10.0.8.{number}", CLIENT_PORT] = host.daemon.client_port
            self._ports[f"10.0.8.{number}", PEER_PORT] = host.daemon.peer_port
        (self.folder / "backups").mkdir()
        self._programs()
        self._server = Units(self.hosts)

    def __getitem__(self, name):
        return self.hosts[name]

    def close(self):
        self._server.close()

    def _programs(self):
        """`systemctl` and `etcdctl` stand for the real ones; see runbook_shim.py."""
        self.path = self.folder / "bin"
        self.path.mkdir()
        shim = pathlib.Path(__file__).with_name("runbook_shim.py")
        targets = {"systemctl": shim, "etcdctl": shim, "etcdutl": self.reference.etcdutl, "quorate": binary_under_test()}
        if shutil.which("curl") is None:
            targets["curl"] = shim
        for name, target in targets.items():
            (self.path / name).symlink_to(target)

    def _port(self, address, port):
        if (address, port) not in self._ports:
            (self._ports[address, port],) = free_ports(1)
        return self._ports[address, port]

    def here(self, text, host=None):
        """A text of a page with this machine's addresses and paths in it."""
        text = re.sub(r"(10\.0\.8\.\d+):(\d+)", lambda at: f"127.0.0.1:{self._port(at[1], int(at[2]))}", text)
        text = text.replace("/var/backups/", f"{self.folder}/backups/").replace("/usr/bin/quorate", binary_under_test())
        if host:
            for there, place in (
                ("/etc/etcd/", "etc/"), ("/var/lib/etcd", "lib/etcd"), ("/srv/", "srv/"), ("/usr/local/bin/", "usr-local-bin/"),
            ):  # fmt: skip
                text = text.replace(there, f"{host.folder}/{place}")
        assert not re.search(r"(?<![\w/.-])/(etc|var|usr|srv)/", text.replace(str(self.folder), "")), text
        return text

    def found(self, programs, **settings):
        """A cluster of node1 and so on, with these programs for etcd."""
        members = list(self.hosts.values())[: len(programs)]
        urls = {host.name: f"http://10.0.8.{number}:" for number, host in enumerate(members, 1)}
        for host, program in zip(members, programs):
            host.install(program)
            own = urls[host.name]
            text = yaml({
                "name": host.name,
                "data-dir": "/var/lib/etcd",
                "listen-client-urls": f"{own}{CLIENT_PORT}",
                "advertise-client-urls": f"{own}{CLIENT_PORT}",
                "listen-peer-urls": f"{own}{PEER_PORT}",
                "initial-advertise-peer-urls": f"{own}{PEER_PORT}",
                "initial-cluster": ",".join(f"{name}={url}{PEER_PORT}" for name, url in urls.items()),
                "initial-cluster-state": "new",
                **settings,
            })  # fmt: skip
            host.configuration.write_text(self.here(text, host))
        for host in members:
            host.start()
        for host in members:
            host.await_listener(START_SECONDS)
        self.ctl("endpoint", "health", members=members)
        return members

    def run(self, page, section=None, **other):
        """Runs a page's blocks, or those of one section ("" is what stands before the first), and returns what they print.

        `node1="node2"` puts one host in another's place.
        """
        chosen = [block for block in blocks(page) if section is None or block.section == section]
        assert chosen, f"{page} has no section {section}"
        return "".join(self._block(page, block, host, other) for block in chosen for host in block.hosts or (None,))

    def _block(self, page, block, name, other):
        text = block.text
        for old, new in other.items():
            text = text.replace(old, new).replace(f"10.0.8.{old[4:]}:", f"10.0.8.{new[4:]}:")
        host = self.hosts[other.get(name, name)] if name else None
        variables = self.folder / f"{page}.variables"
        # Variables live on from block to block, as in the reader's shell.
        script = (
            f"set -aeuo pipefail\nif [ -f {variables} ]; then . {variables}; fi\n"
            f"trap 'export -p | grep -v RUNBOOK_ > {variables}' EXIT\n{self.here(text, host)}\n"
        )
        done = subprocess.run(
            ["bash", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BLOCK_SECONDS,
            cwd=self.folder, env=self._environment(host),
        )  # fmt: skip
        assert done.returncode == 0, f"{page}, {block.section or 'beginning'}:\n{block.text}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _environment(self, host):
        environment = clean_environment()
        return environment | {
            "PATH": f"{self.path}:{environment['PATH']}",
            "RUNBOOK_ETCDCTL": str(self.reference.etcdctl),
            "RUNBOOK_UNITS": str(self._server.port),
            "RUNBOOK_HOST": host.name if host else "",
        }

    def ctl(self, *words, members=None):
        """etcdctl with the members that run, or those named, as endpoints; again while the cluster settles."""
        chosen = members or [host for host in self.hosts.values() if host.daemon.process and host.daemon.process.poll() is None]
        endpoints = ",".join(host.client_url for host in chosen)
        done = subprocess.run(
            [str(self.path / "etcdctl"), f"--endpoints={endpoints}", *map(str, words)], capture_output=True, text=True,
            timeout=BLOCK_SECONDS, env=self._environment(None),
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def agree(self, names, **expected):
        """These are the members, all of them voters; they hold the same, and the expected keys are there."""
        members = [self.hosts[name] for name in names]
        self.ctl("endpoint", "health", members=members)
        for host in members:
            listed = json.loads(self.ctl("member", "list", "-w", "json", members=[host]))["members"]
            found = sorted((each.get("name", ""), each.get("isLearner", False)) for each in listed)
            assert found == [(name, False) for name in names]
            for key, value in expected.items():
                assert self.ctl("get", key, "--print-value-only", members=[host]) == value + "\n"
        hashes = json.loads(self.ctl("endpoint", "hashkv", "-w", "json", members=members))
        assert len({each["HashKV"]["hash"] for each in hashes}) == 1, hashes


class Units(socketserver.ThreadingTCPServer):
    """What the pages ask systemd for, done to this test's processes."""

    daemon_threads = True

    def __init__(self, hosts):
        self.hosts = hosts
        super().__init__(("127.0.0.1", 0), UnitRequest)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class UnitRequest(socketserver.StreamRequestHandler):
    def handle(self):
        name, *words = json.loads(self.rfile.readline())
        try:
            answer = self._obey(self.server.hosts[name], words)
            self.wfile.write(json.dumps([0, answer]).encode())
        except Exception as error:
            self.wfile.write(json.dumps([1, f"{type(error).__name__}: {error}"]).encode())

    def _obey(self, host, words):
        match words:
            case ["start", "etcd"]:
                host.start()
                # The first of several that need each other does not serve yet.
                host.await_listener(NOTIFY_SECONDS)
            case ["stop", "etcd"]:
                host.daemon.stop()
            case ["restart", "etcd"]:
                self._obey(host, ["stop", "etcd"])
                self._obey(host, ["start", "etcd"])
            case ["show", "--property", "ExecMainStatus", "etcd"]:
                return f"ExecMainStatus={host.daemon.wait_exit(30)}\n"
            case _:
                raise ValueError(f"systemctl {words}")
        return ""
