"""Two members given the same commands in the same order, whose answers must be the same once ids and times are taken out."""

import concurrent.futures
import contextlib
import difflib
import os
import re
import signal
import subprocess
import threading
from dataclasses import dataclass

from . import web
from .client import without_header
from .daemon import clean_environment, poll
from .normalise import normalise

COMMAND_SECONDS = 40
ALL_FORMATS = ("simple", "json", "fields", "table", "protobuf")
TEXT_FORMATS = ("simple", "json", "fields", "table")


@dataclass(frozen=True)
class Pair:
    """One thing of each side: put among the arguments of a command, each side gets its own."""

    reference: object
    ours: object

    def map(self, function):
        return Pair(function(self.reference), function(self.ours))


@dataclass(frozen=True)
class Result:
    status: int
    output: bytes
    errors: bytes

    @property
    def stdout(self):
        return self.output.decode(errors="replace")

    @property
    def stderr(self):
        return self.errors.decode(errors="replace")


class Side:
    def __init__(self, daemon):
        self.daemon = daemon
        # Literal texts that belong to this side alone, and what to show for them.
        self.names = {}

    def name(self, label, value):
        """Registers a number by its decimal and hexadecimal text, or a text."""
        if isinstance(value, int):
            self.names[str(value)] = f"<{label}>"
            self.names[f"{value:x}"] = f"<{label}>"
            self.names[f"{value:016x}"] = f"<{label}>"
        else:
            self.names[str(value)] = f"<{label}>"

    def learn(self):
        # Etcd serves before the cluster's version is decided, which takes one more entry of the log.
        poll(lambda: "not_decided" not in web.request(self.daemon.client_port, "/version").text, 20, "the cluster's version is decided")
        header = self.daemon.client.range(b"\0")["header"]
        self.name("CLUSTER", header["cluster_id"])
        self.name("MEMBER", header["member_id"])
        self.name("CLIENT", self.daemon.endpoint)
        self.name("PEER", f"127.0.0.1:{self.daemon.peer_port}")
        self.name("DIRECTORY", str(self.daemon.folder))


class SideBySide:
    def __init__(self, reference, ours, release):
        self.sides = Pair(Side(reference), Side(ours))
        self.release = release
        self._pool = concurrent.futures.ThreadPoolExecutor(2)

    def each(self, function):
        """The function's answers for both daemons, asked at the same time."""
        futures = [self._pool.submit(function, side.daemon) for side in (self.sides.reference, self.sides.ours)]
        return Pair(*(future.result() for future in futures))

    def start(self):
        self.each(lambda daemon: daemon.start())
        self.sides.map(lambda side: side.learn())

    def restart(self):
        self.each(lambda daemon: daemon.stop())
        self.start()

    def close(self):
        self.each(lambda daemon: daemon.kill())
        self._pool.shutdown()

    @property
    def endpoint(self):
        return self.sides.map(lambda side: side.daemon.endpoint)

    def path(self, name):
        """A file name in each side's own folder."""
        return self.sides.map(lambda side: str(side.daemon.folder / name))

    def name(self, label, values):
        self.sides.reference.name(label, values.reference)
        self.sides.ours.name(label, values.ours)
        return values

    def _command(self, side, program, arguments, endpoints=True):
        own = [str(getattr(part, side) if isinstance(part, Pair) else part) for part in arguments]
        daemon = getattr(self.sides, side).daemon
        leading = ["--endpoints", daemon.endpoint] if endpoints else []
        return [str(program), *leading, *own]

    def _run_side(self, side, program, arguments, stdin, endpoints, seconds):
        text = getattr(stdin, side) if isinstance(stdin, Pair) else stdin
        done = subprocess.run(
            self._command(side, program, arguments, endpoints),
            input=text.encode() if isinstance(text, str) else text or b"",
            capture_output=True,
            timeout=seconds,
            cwd=getattr(self.sides, side).daemon.folder,
            env=clean_environment() | {"ETCDCTL_API": "3"},
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def raw(self, *arguments, stdin=None, program=None, endpoints=True, seconds=COMMAND_SECONDS):
        """Runs etcdctl (or another program) against both sides and compares nothing."""
        program = program or self.release.etcdctl
        futures = [
            self._pool.submit(self._run_side, side, program, arguments, stdin, endpoints, seconds)
            for side in ("reference", "ours")
        ]
        return Pair(*(future.result() for future in futures))

    def run(self, *arguments, stdin=None, scrub=(), unordered=False, status=None, program=None, endpoints=True):
        """Runs a command against both sides; exit status, output and errors must agree. `status` is the expected exit status."""
        results = self.raw(*arguments, stdin=stdin, program=program, endpoints=endpoints)
        self.compare(" ".join(str(part) for part in arguments), results, scrub, unordered)
        if status is not None:
            assert results.reference.status == status, f"{arguments}: {results.reference}"
        return results

    def formats(self, *arguments, formats=ALL_FORMATS, **options):
        """The same with every output format; only for commands that change nothing, or nothing the second time."""
        for form in formats:
            if form == "protobuf":
                results = self.raw("-w", form, *arguments).map(lambda result: (result.status, without_header(result.output)))
                assert results.reference == results.ours, f"-w protobuf {arguments}"
            else:
                self.run("-w", form, *arguments, **options)

    def show(self, side, result, scrub=()):
        names = getattr(self.sides, side).names
        return (
            f"exit status {result.status}\n--- output\n{normalise(result.stdout, names, scrub)}"
            f"\n--- errors\n{normalise(result.stderr, names, scrub)}"
        )

    def compare(self, what, results, scrub=(), unordered=False):
        """`unordered` is for lists in the order of ids, which differ: then only the words must agree."""
        reference = self.show("reference", results.reference, scrub)
        ours = self.show("ours", results.ours, scrub)
        if unordered:
            reference, ours = ("\n".join(sorted(re.split(r'[\s,"\[\]{}()]+', text))) for text in (reference, ours))
        assert reference == ours, f"{what}\n{difference(reference, ours)}"

    def json(self, *arguments):
        """The parsed JSON output of each side, not compared."""
        import json

        return self.raw("-w", "json", *arguments).map(lambda result: json.loads(result.stdout))

    @contextlib.contextmanager
    def running(self, *arguments, stdin=False, endpoints=True):
        """etcdctl commands that go on until told to stop, as a pair of Interactive."""
        made = Pair(
            *(
                Interactive(
                    self._command(side, self.release.etcdctl, arguments, endpoints),
                    getattr(self.sides, side).daemon.folder,
                    stdin,
                )
                for side in ("reference", "ours")
            )
        )
        try:
            yield made
        finally:
            made.map(lambda process: process.end())

    def compare_texts(self, what, texts, scrub=()):
        reference = normalise(texts.reference, self.sides.reference.names, scrub)
        ours = normalise(texts.ours, self.sides.ours.names, scrub)
        assert reference == ours, f"{what}\n{difference(reference, ours)}"


class Interactive:
    """A command whose output is read while it runs."""

    def __init__(self, command, folder, stdin):
        self.command = command
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=clean_environment() | {"ETCDCTL_API": "3"},
        )
        self._parts = {"stdout": [], "stderr": []}
        self._readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._parts]
        for reader in self._readers:
            reader.start()

    def _read(self, name):
        pipe = getattr(self._process, name)
        while data := os.read(pipe.fileno(), 65536):
            self._parts[name].append(data)

    @property
    def stdout(self):
        return b"".join(self._parts["stdout"]).decode(errors="replace")

    @property
    def stderr(self):
        return b"".join(self._parts["stderr"]).decode(errors="replace")

    def send(self, text):
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def wait_for(self, text, seconds=15, count=1):
        def found():
            return self.stdout.count(text) >= count

        poll(found, seconds, lambda: f"{count} x {text!r} from {self.command}: {self.stdout!r} {self.stderr!r}")
        return self.stdout

    def wait_exit(self, seconds=15):
        status = self._process.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return Result(status, b"".join(self._parts["stdout"]), b"".join(self._parts["stderr"]))

    def end(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        for reader in self._readers:
            reader.join(5)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()


def difference(reference, ours):
    return "\n".join(difflib.unified_diff(reference.splitlines(), ours.splitlines(), "reference", "ours", lineterm="", n=4))


def first_hexadecimal(text):
    """The first id of 10 to 16 hexadecimal digits in a text, as a number."""
    match = re.search(r"\b[0-9a-f]{10,16}\b", text)
    assert match, f"no id in {text!r}"
    return int(match.group(), 16)
