"""Deployments of etcd as operators' guides have them, with the binary under test behind the name `etcd`.

Settings, command lines and their order are the guides'; only addresses, ports and paths differ.
"""

import json
import re
import shutil
import urllib.request

import grpc
import pytest

from harness.client import operation, put_request, range_request, txn_request
from harness.daemon import Daemon, kill_all, poll
from harness.deployment import TOOL_SECONDS, Guide, binary_under_test, run
from harness.notify_socket import NotifySocket
from harness.pki import openssl

REMOVED = 76


@pytest.fixture
def guide(daemons, reference, tmp_path):
    made = []

    def make(names, tls=None, relayed=False):
        guide = Guide(daemons, reference, tmp_path, tls)
        made.append(guide)
        for name in names:
            guide.member(name, relayed)
        for member in guide.members:
            guide.configure(member)
        return guide

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def one_certificate(tmp_path_factory):
    """As `cfssl gencert` makes it of the guides' requests: RSA 2048, for all members and clients, for 100 years."""
    folder = tmp_path_factory.mktemp("cfssl")
    authority, request, certificate, key = (folder / name for name in ("ca.pem", "etcd.csr", "etcd.pem", "etcd-key.pem"))
    century = 36_500
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "ca-key.pem", "-out", authority, "-days", century,
        "-subj", "/C=CN/ST=BeiJing/L=BeiJing/O=k8s/OU=System/CN=etcd", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request,
        "-subj", "/C=CN/ST=BeiJing/L=BeiJing/O=k8s/OU=System/CN=etcd",
    )  # fmt: skip
    (folder / "extensions").write_text(
        "keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n"
        "basicConstraints=critical,CA:FALSE\nsubjectAltName=IP:127.0.0.1,IP:10.0.8.4\n"
    )
    openssl(
        "x509", "-req", "-in", request, "-CA", authority, "-CAkey", folder / "ca-key.pem", "-CAcreateserial", "-days", century,
        "-extfile", folder / "extensions", "-out", certificate,
    )  # fmt: skip
    return authority, certificate, key


def put_many(guide, count, prefix="key"):
    for number in range(count):
        guide.ctl("put", f"{prefix}{number}", f"value{number}")


def data(guide):
    """All keys and values."""
    return guide.ctl("get", "", "--from-key")


class TestOneMember:
    def test_configuration_file(self, guide, tmp_path):
        one = guide(["etcd"])
        (member,) = one.members
        notify = NotifySocket(tmp_path / "notify")
        member.environment = notify.environment
        one.start()
        notify.wait(lambda message: message.get("READY") == "1")
        assert one.ctl("put", "greeting", "hello") == "OK\n"
        assert one.ctl("get", "greeting") == "greeting\nhello\n"
        assert json.loads(urllib.request.urlopen(one.client_url(member) + "/health", timeout=10).read())["health"] == "true"
        # One guide lists the members through the peer port.
        by_clients = one.ctl("member", "list", endpoints=one.client_url(member))
        assert by_clients == one.ctl("member", "list", endpoints=one.peer_url(member))
        assert f"started, etcd, {one.peer_url(member)}, {one.client_url(member)}, false" in by_clients
        # Restart=on-failure, with the file as it is.
        member.kill()
        one.start()
        assert one.ctl("get", "greeting", "--print-value-only") == "hello\n"
        one.stop()
        notify.close()

    @pytest.mark.parametrize("how", ["flags", "environment"])
    def test_the_same_without_a_file(self, guide, how):
        """As scripts and containers have it."""
        one = guide(["etcd"])
        (member,) = one.members
        settings = one.settings(member)
        command = one.software.command
        if how == "flags":
            member.spawn([*command, *(f"--{name}={value}" for name, value in settings.items())])
        else:
            member.environment = {"ETCD_" + name.upper().replace("-", "_"): str(value) for name, value in settings.items()}
            member.spawn(command)
        one.await_health(member)
        assert one.ctl("put", "greeting", "hello") == "OK\n"
        one.stop()


class TestThreeMembersOverHTTPS:
    NAMES = ("etcd-1", "etcd-2", "etcd-3")

    def test_certificates_for_everything(self, guide, one_certificate):
        three = guide(self.NAMES, one_certificate, relayed=True)
        three.start()
        assert [(each["Endpoint"], each["Status"]["header"]["revision"]) for each in three.statuses()] == [
            (three.client_url(member), 1) for member in three.members
        ]
        listed = json.loads(three.ctl("member", "list", "-w", "json"))["members"]
        assert {(each["name"], *each["peerURLs"], *each["clientURLs"]) for each in listed} == {
            (member.name, three.peer_url(member), three.client_url(member)) for member in three.members
        }
        for words in (["member", "list"], ["endpoint", "status"], ["endpoint", "health"], ["endpoint", "hashkv"]):
            table = three.ctl(*words, "-w", "table")
            for member in three.members:
                assert three.client_url(member) in table
            assert json.loads(three.ctl(*words, "-w", "json"))
        three.ctl("put", "greeting", "hello")
        poll(lambda: {each["Status"]["header"]["revision"] for each in three.statuses()} == {2}, 10, "all members have it", 0.1)
        hashes = json.loads(three.ctl("endpoint", "hashkv", "-w", "json"))
        assert len({each["HashKV"]["hash"] for each in hashes}) == 1
        # Without a certificate nobody gets in.
        refused = run(
            three.reference.etcdctl, f"--endpoints={three.endpoints}", f"--cacert={one_certificate[0]}", "--command-timeout=1s",
            "get", "greeting",
        )  # fmt: skip
        assert refused.returncode != 0
        three.stop()

    def test_replace_a_member(self, guide, one_certificate):
        three = guide(self.NAMES, one_certificate)
        three.start()
        three.ctl("put", "greeting", "hello")
        self._exchange(three, self._start_with_file)
        self._exchange(three, self._start_with_environment)
        assert three.ctl("get", "greeting", "--print-value-only", members=three.members[-1:]) == "hello\n"
        three.stop()

    def _exchange(self, three, start):
        """Removes the newest member, and puts one with the next number in its place."""
        old = three.members[-1]
        id = re.search(rf"^(\w+), started, {old.name}, ", three.ctl("member", "list"), re.MULTILINE)[1]
        others = three.members[:-1]
        self._change(three, others, "remove", id)
        assert old.wait_exit(20) == REMOVED
        three.members.remove(old)
        new = three.member(f"etcd-{int(old.name[-1]) + 1}")
        added = self._change(three, others, "add", new.name, f"--peer-urls={three.peer_url(new)}")
        printed = dict(re.findall(r'^(ETCD_\w+)="(.*)"$', added, re.MULTILINE))
        assert set(printed["ETCD_INITIAL_CLUSTER"].split(",")) == set(three.initial_cluster.split(","))
        start(three, new, printed)
        three.await_health(*three.members)
        states = re.findall(r"^\w+, (\w+), (\S+), ", three.ctl("member", "list"), re.MULTILINE)
        assert sorted(states) == [("started", member.name) for member in three.members]

    def _change(self, three, members, *words):
        """What etcdctl prints. etcd refuses until all members have been connected for 5 s."""

        def changed():
            done = three.attempt("member", *words, members=members)
            return done.returncode == 0 and done.stdout

        return poll(changed, 20, f"member {words} succeeds", 0.5)

    def _start_with_file(self, three, member, printed):
        three.configure(member, **{"initial-cluster-state": "existing"})
        three.launch(member)

    def _start_with_environment(self, three, member, printed):
        settings = three.settings(member)
        for name in ("name", "initial-cluster", "initial-advertise-peer-urls", "initial-cluster-state"):
            settings.pop(name)
        flags = []
        for name, value in settings.items():
            if isinstance(value, dict):
                peer = "peer-" if name.startswith("peer") else ""
                flags += [f"--{peer}{key}={str(each).lower() if isinstance(each, bool) else each}" for key, each in value.items()]
            else:
                flags.append(f"--{name}={value}")
        member.environment = printed
        member.spawn([*three.software.command, *flags])


class TestBackup:
    NAMES = ("etcd-1", "etcd-2", "etcd-3")

    @pytest.mark.parametrize(
        "source, tool",
        [
            ("saved", "etcdutl"), ("saved", "etcdctl"), ("copied", "quorate"),
            pytest.param("copied", "etcdutl", marks=pytest.mark.slow), pytest.param("saved", "quorate", marks=pytest.mark.slow),
        ],
    )
    def test_backup_and_restore(self, guide, one_certificate, tmp_path, source, tool, reference):
        three = guide(self.NAMES, one_certificate)
        three.start()
        put_many(three, 20)
        expected = data(three)
        file = tmp_path / "backup.db"
        first = three.members[0]
        if source == "saved":
            three.ctl("snapshot", "save", file, members=[first])
        else:
            # Values are in the file before the page that makes them count.
            def copied():
                shutil.copy(first.data_dir / "member/snap/db", file)
                status = run(binary_under_test(), "snapshot", "status", file, "-w", "json")
                return status.returncode == 0 and json.loads(status.stdout)["revision"] == 21

            poll(copied, 10, "the file holds everything", 0.1)
        program = {"etcdutl": [reference.etcdutl], "etcdctl": [reference.etcdctl]}.get(tool, [binary_under_test()])
        status = run(*program, "snapshot", "status", file, "-w", "json", env={"ETCDCTL_API": "3"})
        assert json.loads(status.stdout)["revision"] == 21, status
        three.ctl("put", "written", "afterwards")
        three.stop()
        for member in three.members:
            member.data_dir.rename(member.folder / "moved away")
        for member in three.members:
            restored = run(
                *program, "snapshot", "restore", file, f"--data-dir={member.data_dir}", f"--name={member.name}",
                f"--initial-advertise-peer-urls={three.peer_url(member)}", f"--initial-cluster={three.initial_cluster}",
                *(["--initial-cluster-token=k8s_etcd"] if tool == "etcdctl" else []),
                *(["--skip-hash-check"] if source == "copied" else []),
                env={"ETCDCTL_API": "3"},
            )  # fmt: skip
            assert restored.returncode == 0, restored.stderr
        three.start()
        for member in three.members:
            assert three.ctl("get", "", "--from-key", members=[member]) == expected
        three.stop()

    def test_backup_of_a_stopped_member(self, guide, reference, tmp_path):
        """etcdutl backup --with-v3; what it makes starts with --force-new-cluster."""
        one = guide(["etcd"])
        (member,) = one.members
        one.start()
        put_many(one, 20)
        expected = data(one)
        one.stop()
        backup = tmp_path / "backup"
        done = run(reference.etcdutl, "backup", "--with-v3", f"--data-dir={member.data_dir}", f"--backup-dir={backup}")
        assert done.returncode == 0, done.stderr
        settings = one.settings(member) | {"data-dir": backup, "force-new-cluster": True}
        flags = [f"--{name}={str(value).lower() if value is True else value}" for name, value in settings.items()]
        member.spawn([*one.software.command, *flags])
        one.await_health(member)
        assert data(one) == expected
        one.stop()


class TestClearHistory:
    KEYS = 100_000
    BATCH = 100

    def test_compact_and_defragment(self, guide):
        """100,000 keys written three times over."""
        three = guide(["etcd-1", "etcd-2", "etcd-3"])
        three.start()
        for generation in range(3):
            self._write(three.members[0].client, generation)
        before = self._sizes(three)
        revision = three.statuses()[0]["Status"]["header"]["revision"]
        assert three.ctl("compact", revision, members=three.members[:1]) == f"compacted revision {revision}\n"
        poll(lambda: self._in_use(three) < 0.5 * min(size for size, _ in before), 60, "the history is gone", 0.2)
        defragmented = three.ctl("--command-timeout=60s", "defrag")
        assert defragmented.count("Finished defragmenting etcd member") == 3
        after = self._sizes(three)
        for (size_before, disk_before), (size_after, disk_after) in zip(before, after):
            assert size_after < 0.6 * size_before and disk_after < 0.6 * disk_before, (before, after)
        assert "DB SIZE" in three.ctl("endpoint", "status", "-w", "table")
        assert three.ctl("get", "key", "--prefix", "--count-only", "-w", "fields").splitlines()[-1] == f'"Count" : {self.KEYS}'
        three.stop()

    def _write(self, client, generation):
        """Many puts to a transaction: the same revisions' worth of history in less time."""
        pending = []
        for first in range(0, self.KEYS, self.BATCH):
            value = b"value %d " % generation + b"." * 50
            puts = [put_request(b"key%06d" % number, value) for number in range(first, first + self.BATCH)]
            request = txn_request(success=[operation(put=put) for put in puts])
            pending.append(client.start("KV/Txn", request, timeout=60))
            if len(pending) > 32:
                pending.pop(0).result()
        for each in pending:
            each.result()

    def _sizes(self, three):
        """(DB SIZE, what du says) of each member."""
        sizes = [each["Status"]["dbSize"] for each in three.statuses()]
        return list(zip(sizes, [(member.data_dir / "member/snap/db").stat().st_blocks * 512 for member in three.members]))

    def _in_use(self, three):
        return max(each["Status"]["dbSizeInUse"] for each in three.statuses())


class TestLoad:
    """What guides measure with etcd's benchmark tool: its requests, connections and clients, for a part of its totals."""

    @pytest.mark.parametrize(
        "connections, clients, secure, what",
        [
            (30, 30, False, "put"),
            (30, 30, False, "range key0001 --consistency=s"),
            (100, 1_000, True, "put"),
            (100, 1_000, True, "range / --consistency=l"),
            (100, 1_000, True, "range / --consistency=s"),
        ],
    )
    def test_benchmark(self, load_cluster, connections, clients, secure, what):
        three = load_cluster(secure)
        count = 3_000
        channels = [self._channel(three, number) for number in range(connections)]
        try:
            self._drive(channels, clients, count, what)
        finally:
            for channel in channels:
                channel.close()
        if what == "put":
            found = json.loads(three.ctl("get", "", "--from-key", "--limit=1", "-w", "json"))
            assert found["count"] >= count

    def _channel(self, three, number):
        member = three.members[number % 3]
        address = f"127.0.0.1:{member.client_port}"
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        if not three.tls:
            return grpc.insecure_channel(address, options)
        authority, certificate, key = (file.read_bytes() for file in three.tls)
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(authority, key, certificate), options)

    def _drive(self, channels, clients, count, what):
        """As many requests under way as there are clients; none may fail."""
        words = what.split()
        method = "/etcdserverpb.KV/" + ("Put" if words[0] == "put" else "Range")
        calls = [channel.unary_unary(method) for channel in channels]
        under_way = []
        for number in range(count):
            if words[0] == "put":
                # --key-size=8 --sequential-keys --val-size=256
                request = put_request(number.to_bytes(8, "little"), b"v" * 256)
            else:
                request = range_request(words[1].encode(), serializable=words[2].endswith("=s"))
            under_way.append(calls[number % len(calls)].future(request, timeout=TOOL_SECONDS))
            if len(under_way) >= clients:
                under_way.pop(0).result()
        for each in under_way:
            each.result()


@pytest.fixture(scope="class")
def load_cluster(tmp_path_factory, reference, one_certificate):
    """Three members, plain or over TLS, kept for all loads."""
    made = {}

    def make(secure):
        if secure not in made:
            folder = tmp_path_factory.mktemp("load")
            three = Guide(
                lambda software, place, **options: Daemon(software, folder / place, **options), reference, folder,
                one_certificate if secure else None,
            )  # fmt: skip
            for name in ("etcd-1", "etcd-2", "etcd-3"):
                three.member(name)
            for member in three.members:
                three.configure(member)
            three.start()
            made[secure] = three
        return made[secure]

    yield make
    for three in made.values():
        kill_all(three.members)
