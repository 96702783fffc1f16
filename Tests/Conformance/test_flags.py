"""Flags, environment and configuration file: what starts a member, what does not, and with which exit status."""

import re
import stat
import subprocess

import pytest

from harness import web
from harness.daemon import clean_environment, etcd, free_ports, quorate

SECONDS = 20

#: Arguments that end the program, and a word its message must contain. DIR is a fresh directory.
REFUSED = [
    (["--no-such-flag"], "no-such-flag"),
    (["--no-such-flag=1"], "no-such-flag"),
    (["--heartbeat-interval", "abc"], "heartbeat-interval"),
    (["--heartbeat-interval", "-1"], "heartbeat-interval"),
    (["--heartbeat-interval"], "heartbeat-interval"),
    (["--heartbeat-interval", "0"], "heartbeat-interval"),
    (["--election-timeout", "100"], "election-timeout"),
    (["--election-timeout", "60000"], "election-timeout"),
    (["--snapshot-count=-1"], "snapshot-count"),
    (["--quota-backend-bytes", "1e9"], "quota-backend-bytes"),
    (["--max-txn-ops", "x"], "max-txn-ops"),
    (["--grpc-keepalive-min-time", "5"], "grpc-keepalive-min-time"),
    (["--pre-vote=perhaps"], "pre-vote"),
    (["--pre-vote", "false"], "false"),
    (["--listen-client-urls", "foo"], "foo"),
    (["--listen-client-urls", "http://127.0.0.1"], "127.0.0.1"),
    (["--listen-client-urls", "ftp://127.0.0.1:1"], "ftp"),
    (["--listen-client-urls", "http://127.0.0.1:1/path"], "path"),
    (["--listen-client-urls", "http://host.invalid:1"], "host.invalid"),
    (["--listen-peer-urls", "http://host.invalid:1"], "host.invalid"),
    (["--advertise-client-urls", "not a url"], "not a url"),
    (["--initial-cluster-state", "maybe"], "maybe"),
    (["--initial-cluster", "other=http://127.0.0.1:1"], "default"),
    (["--initial-cluster", "nonsense"], ""),
    (["--initial-advertise-peer-urls", "http://127.0.0.1:1"], "initial-cluster"),
    (["--auto-compaction-mode", "sometimes"], "sometimes"),
    (["--auto-compaction-retention", "x"], "x"),
    (["--logger", "capnslog"], "capnslog"),
    (["--log-outputs", "stdout,default"], "default"),
    (["--auth-token", "foo"], "auth"),
    (["--bcrypt-cost", "x"], "bcrypt-cost"),
    (["--data-dir", "/dev/null/below-a-file"], "/dev/null/below-a-file"),
    (["--tls-min-version", "1"], "TLS"),
    (["--tls-min-version", "TLS1.3", "--tls-max-version", "TLS1.2"], "TLS"),
    (["--cipher-suites", "NOT_A_SUITE"], "NOT_A_SUITE"),
    (["--config-file", "/nonexistent"], "/nonexistent"),
    (["--v2-deprecation", "x"], "v2-deprecation"),
    (["stray"], "stray"),
]

#: Configuration files that end the program, and a word its message must contain.
REFUSED_FILES = [
    ("name: [\n", "expected"),
    ("heartbeat-interval: abc\n", "heartbeat-interval"),
    ("name: {a: b}\n", "name"),
    ("listen-client-urls: nonsense\n", ""),
    ("heartbeat-interval: 100\nelection-timeout: 200\n", "election-timeout"),
    ("- a\n- list\n", ""),
    ("client-transport-security: 5\n", "client-transport-security"),
    ("initial-cluster-state: perhaps\n", "perhaps"),
]


def finish(software, arguments, folder, environment=None):
    """Runs to its end: (exit status, everything printed). None when it is still running: it accepted the arguments."""
    folder.mkdir(parents=True)
    client, peer, absent = free_ports(3)
    # Addresses of its own first, so that nothing meets on the default ports; what is tested comes after and wins.
    own = [
        "--data-dir", str(folder / "data"),
        "--listen-client-urls", f"http://127.0.0.1:{client}", "--advertise-client-urls", f"http://127.0.0.1:{client}",
        "--listen-peer-urls", f"http://127.0.0.1:{peer}",
    ]  # fmt: skip
    if not any(argument.startswith(("--initial-", "--config-file")) for argument in arguments):
        own += [
            "--initial-advertise-peer-urls",
            f"http://127.0.0.1:{peer}",
            "--initial-cluster",
            f"default=http://127.0.0.1:{peer}",
        ]
    command = [*software.command, *software.own_flags, *own, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, cwd=folder, env=clean_environment() | (environment or {}), timeout=SECONDS
        )
    except subprocess.TimeoutExpired as still:
        raise AssertionError(f"{software} {arguments} is still running: {(still.stderr or b'')[-500:].decode()}") from None
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def compare_refusal(reference, tmp_path, arguments, word, environment=None):
    expected, real_text = finish(etcd(reference), arguments, tmp_path / "reference", environment)
    status, text = finish(quorate(), arguments, tmp_path / "ours", environment)
    assert expected in (1, 2) and word.lower() in real_text.lower(), real_text[-600:]
    assert status == expected, text[-600:]
    assert word.lower() in text.lower(), text[-600:]
    # What cannot be parsed is found before anything is made.
    assert expected == 1 or not (tmp_path / "ours" / "data").exists()


class TestRefusals:
    @pytest.mark.parametrize("arguments, word", REFUSED, ids=[" ".join(arguments) for arguments, _ in REFUSED])
    def test_bad_value(self, reference, tmp_path, arguments, word):
        if word == "TLS" and reference.number < (3, 5, 10):
            pytest.skip(f"etcd {reference.version} does not have the flag")
        compare_refusal(reference, tmp_path, arguments, word)

    @pytest.mark.parametrize("text, word", REFUSED_FILES, ids=[text.split("\n")[0] for text, _ in REFUSED_FILES])
    def test_bad_file(self, reference, tmp_path, text, word):
        (tmp_path / "etcd.yaml").write_text(text)
        compare_refusal(reference, tmp_path, ["--config-file", str(tmp_path / "etcd.yaml")], word)

    def test_bad_environment(self, reference, tmp_path):
        compare_refusal(reference, tmp_path, [], "ETCD_HEARTBEAT_INTERVAL", {"ETCD_HEARTBEAT_INTERVAL": "abc"})

    def test_flag_and_environment_at_once(self, reference, tmp_path):
        compare_refusal(reference, tmp_path, ["--max-txn-ops", "5"], "ETCD_MAX_TXN_OPS", {"ETCD_MAX_TXN_OPS": "6"})

    @pytest.mark.parametrize("which", ["client", "peer"])
    def test_address_in_use(self, daemons, which):
        first = daemons(quorate(), "first").start()
        second = daemons(quorate(), "second")
        if which == "client":
            second.client_port = first.client_port
        else:
            second.peer_port = first.peer_port
        second.spawn()
        # EX_UNAVAILABLE, where etcd ends with 1: systemd's units can tell it from a wrong setting.
        assert second.wait_exit(SECONDS) == 69
        assert "address already in use" in second.log_text().lower()

    def test_unreadable_directory(self, daemons, tmp_path):
        """A directory in which `member` is a file."""
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / "member").write_text("not a directory")
        daemon = daemons(quorate(), "member", data_dir=tmp_path / "bad").spawn()
        assert daemon.wait_exit(SECONDS) != 0
        assert "bad/member" in daemon.log_text()


class TestStart:
    def test_version_and_help(self):
        command = quorate().command
        version = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=SECONDS)
        assert version.returncode == 0 and re.search(r"^etcd Version: \d+\.\d+\.\d+$", version.stdout, re.MULTILINE)
        for flag in ("--help", "-h"):
            shown = subprocess.run([*command, flag], capture_output=True, text=True, timeout=SECONDS)
            text = shown.stdout + shown.stderr
            assert shown.returncode == 0
            for name in ("--data-dir", "--listen-client-urls", "--initial-cluster", "--snapshot-count", "--quota-backend-bytes"):
                assert name in text

    def test_under_the_name_etcd(self, daemons, tmp_path):
        """A link called etcd is a member without being told."""
        link = tmp_path / "etcd"
        link.symlink_to(quorate().command[0])
        daemon = daemons(quorate(), "member")
        arguments = daemon.arguments()
        daemon.spawn([str(link), *arguments[len(daemon.software.command) :]])
        daemon.wait_ready()
        daemon.client.put(b"a", b"1")

    def test_spellings(self, daemons):
        """One dash or two, with or without an equals sign, switches with a value."""
        daemon = daemons(quorate(), "member")
        client, peer = daemon.client_url, daemon.peer_url
        daemon.spawn([
            *daemon.software.command, *daemon.software.own_flags,
            "-name=one", f"-data-dir={daemon.data_dir}", "--listen-client-urls=" + client, "-advertise-client-urls", client,
            "--listen-peer-urls", peer, f"--initial-advertise-peer-urls={peer}", "--initial-cluster", f"one={peer}",
            "--pre-vote=false", "--strict-reconfig-check=true", "-initial-election-tick-advance", "--snapshot-count=0500",
        ])  # fmt: skip
        daemon.wait_ready()
        assert daemon.client.members()[0]["name"] == b"one"

    def test_environment_alone(self, daemons):
        daemon = daemons(quorate(), "member")
        daemon.environment = {
            "ETCD_NAME": "from-environment",
            "ETCD_DATA_DIR": str(daemon.data_dir),
            "ETCD_LISTEN_CLIENT_URLS": daemon.client_url,
            "ETCD_ADVERTISE_CLIENT_URLS": daemon.client_url,
            "ETCD_LISTEN_PEER_URLS": daemon.peer_url,
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": daemon.peer_url,
            "ETCD_INITIAL_CLUSTER": f"from-environment={daemon.peer_url}",
            "ETCD_UNHEARD_OF": "is only warned of",
            "ETCD_MAX_TXN_OPS": "",
        }
        daemon.spawn([*daemon.software.command, *daemon.software.own_flags])
        daemon.wait_ready()
        assert daemon.client.members()[0]["name"] == b"from-environment"
        assert "ETCD_UNHEARD_OF" in daemon.log_text()

    def test_directory_of_the_name(self, daemons):
        """Without --data-dir it is NAME.etcd in the working directory, for nobody else to read."""
        daemon = daemons(quorate(), "member", name="named")
        arguments = daemon.arguments()
        where = arguments.index("--data-dir")
        daemon.spawn(arguments[:where] + arguments[where + 2 :])
        daemon.wait_ready()
        directory = daemon.folder / "named.etcd"
        for path, mode in [
            ("", 0o700),
            ("member", 0o700),
            ("member/snap", 0o700),
            ("member/wal", 0o700),
            ("member/snap/db", 0o600),
        ]:
            assert stat.S_IMODE((directory / path).stat().st_mode) == mode, path
        for segment in (directory / "member" / "wal").glob("*.wal"):
            assert stat.S_IMODE(segment.stat().st_mode) == 0o600
            assert segment.stat().st_size == 64_000_000

    def test_separate_log_directory(self, daemons, tmp_path):
        daemon = daemons(quorate(), "member", flags=["--wal-dir", str(tmp_path / "log")]).start()
        assert list((tmp_path / "log").glob("*.wal"))
        daemon.client.put(b"a", b"1")
        daemon.stop()
        daemon.start()
        assert daemon.client.get(b"a") == b"1"

    def test_log_outputs(self, daemons, tmp_path):
        daemon = daemons(quorate(), "member", flags=["--log-outputs", f"{tmp_path}/a.log,stderr", "--log-level", "info"]).start()
        assert (tmp_path / "a.log").stat().st_size > 0 and daemon.log_text()

    def test_initial_flags_are_ignored_later(self, daemons):
        daemon = daemons(quorate(), "member").start()
        daemon.client.put(b"a", b"1")
        daemon.stop()
        daemon.flags = ["--initial-cluster-state", "existing", "--initial-cluster-token", "other"]
        daemon.start()
        assert daemon.client.get(b"a") == b"1"

    def test_ids_follow_from_the_flags(self, both):
        """The same names, URLs and token give the same member and cluster ids as etcd's: others compute them too."""
        ports = free_ports(2)

        def identity(daemon):
            daemon.kill()
            subprocess.run(["rm", "-rf", str(daemon.data_dir)], check=True)
            peer = f"http://127.0.0.1:{ports[1]}"
            daemon.peer_port = ports[1]
            daemon.flags = ["--initial-cluster-token", "token-1"]
            daemon.start()
            header = daemon.client.range(b"a")["header"]
            assert daemon.client.members()[0]["peer_urls"] == [peer.encode()]
            daemon.stop()
            return header["cluster_id"], header["member_id"]

        assert identity(both.sides.reference.daemon) == identity(both.sides.ours.daemon)


ONE_MEMBER = """\
name: etcd
data-dir: {data}
listen-client-urls: http://0.0.0.0:{client}
listen-peer-urls: http://0.0.0.0:{peer}
advertise-client-urls: http://127.0.0.1:{client}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: etcd=http://127.0.0.1:{peer}
initial-cluster-state: new
initial-cluster-token: etcd-cluster
"""


class TestConfigurationFile:
    def start(self, daemon, text, *arguments):
        path = daemon.folder / "etcd.conf"
        path.write_text(text.format(data=daemon.data_dir, client=daemon.client_port, peer=daemon.peer_port))
        daemon.spawn([*daemon.software.command, "--config-file", str(path), *arguments])
        daemon.wait_ready()

    def test_one_member_as_in_the_guides(self, daemons, reference):
        daemon = daemons(quorate(), "member")
        self.start(daemon, ONE_MEMBER)
        member = daemon.client.members()[0]
        assert member["name"] == b"etcd" and member["client_urls"] == [daemon.client_url.encode()]
        # One guide lists members through the peer port, which etcd up to 3.5 answers.
        for port in (daemon.client_port, daemon.peer_port):
            command = [str(reference.etcdctl), f"--endpoints=http://127.0.0.1:{port}", "member", "list"]
            listed = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=clean_environment())
            assert listed.returncode == 0 and f"etcd, {daemon.peer_url}" in listed.stdout, listed.stdout + listed.stderr

    def test_flags_and_environment_are_ignored(self, daemons):
        daemon = daemons(quorate(), "member")
        daemon.environment = {"ETCD_NAME": "ignored", "ETCD_MAX_TXN_OPS": "1"}
        self.start(daemon, ONE_MEMBER, "--name", "ignored-too", "--max-txn-ops", "1")
        assert daemon.client.members()[0]["name"] == b"etcd"

    def test_named_by_the_environment(self, daemons):
        daemon = daemons(quorate(), "member")
        path = daemon.folder / "etcd.conf"
        path.write_text(ONE_MEMBER.format(data=daemon.data_dir, client=daemon.client_port, peer=daemon.peer_port))
        daemon.environment = {"ETCD_CONFIG_FILE": str(path)}
        daemon.spawn(daemon.software.command)
        daemon.wait_ready()
        assert daemon.client.members()[0]["name"] == b"etcd"

    def test_every_kind_of_value(self, daemons):
        """Numbers, switches, nanoseconds, sections; a key nobody knows is passed over."""
        daemon = daemons(quorate(), "member")
        text = ONE_MEMBER + (
            "snapshot-count: 700\nmax-txn-ops: 3\npre-vote: true\nquota-backend-bytes: 4000000000\nheartbeat-interval: 50\n"
            "election-timeout: 500\ngrpc-keepalive-min-time: 5000000000\nlog-outputs: [stderr]\nlog-level: info\n"
            "client-transport-security:\n  auto-tls: false\npeer-transport-security:\n  auto-tls: false\n"
            "auto-compaction-mode: revision\nauto-compaction-retention: '1000'\nunheard-of: 5\n"
        )
        self.start(daemon, text)
        names = {name: list(values.values()) for name, (_, _, values) in web.metrics(daemon.client_port).items()}
        assert names["etcd_server_quota_backend_bytes"] == [4_000_000_000]
        put = b"\x12\x07\x12\x05\x0a\x01%c\x12\x00"
        four = b"".join(put % (97 + index) for index in range(4))
        assert daemon.client.outcome("KV/Txn", four).text == "etcdserver: too many operations in txn request"
        assert isinstance(daemon.client.outcome("KV/Txn", b"".join(put % (97 + index) for index in range(3))), bytes)
