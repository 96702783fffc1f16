"""Every command of etcdctl 3.5 against real etcd and the member under test: same output, same errors, same exit status.

Not here: auth, user, role, lock and elect.
"""

import pytest

from harness.daemon import etcd, poll
from harness.side_by_side import TEXT_FORMATS, Pair, first_hexadecimal

KEYS = [("a", "1"), ("b", "2"), ("b/1", "2.1"), ("b/2", "2.2"), ("c", "3"), ("é", "ü"), ("space key", "a value\nof two lines")]


def fill(both):
    for key, value in KEYS:
        both.run("put", key, value, status=0)
    both.run("put", "b", "2 again")
    both.run("put", "a", "1 again")


class TestGet:
    def test_ranges(self, both):
        fill(both)
        for arguments in [
            ("a",),
            ("missing",),
            ("a", "c"),
            ("b", "--prefix"),
            ("b", "--from-key"),
            ("", "--prefix"),
            ("", "--from-key"),
            ("c", "a"),
            ("space key",),
        ]:
            both.formats("get", *arguments)
            both.formats("get", *arguments, "--keys-only", formats=TEXT_FORMATS)
            both.formats("get", *arguments, "--count-only", formats=("json", "fields", "table"))
            both.run("get", *arguments, "--print-value-only")
            both.run("get", *arguments, "--hex")
        both.run("get", "b", "--prefix", "--count-only", "-w", "fields")
        both.run("get", "a", "--consistency", "s", "-w", "json")
        both.run("get", "a", "--consistency", "l", "-w", "json")

    def test_limit_and_order(self, both):
        # No two keys have the same version or value: how ties are ordered is not promised, and Go's sort is not stable.
        for version, key in enumerate(["b", "c", "b/1", "a", "é"], 1):
            for index in range(version):
                both.run("put", key, f"{9 - version} {index}")
        for limit in ("0", "1", "3", "5", "100"):
            both.formats("get", "", "--prefix", "--limit", limit, formats=("simple", "json", "fields"))
        for target in ("CREATE", "KEY", "MODIFY", "VALUE", "VERSION"):
            for order in ("ASCEND", "DESCEND"):
                both.run("get", "", "--prefix", "--sort-by", target, "--order", order, "-w", "json", status=0)
                both.run("get", "", "--prefix", "--sort-by", target, "--order", order, "--limit", "2", "-w", "json")
        both.run("get", "", "--prefix", "--order", "DESCEND")
        both.run("get", "", "--prefix", "--sort-by", "KEY")

    def test_old_revisions(self, both):
        fill(both)
        for revision in range(0, 12):
            both.run("get", "", "--prefix", "--rev", revision, "-w", "json", status=1 if revision > 10 else 0)
            both.run("get", "b", "--rev", revision)
        both.run("del", "b", "--prefix")
        both.run("get", "b", "--prefix", "--rev", 10, "-w", "json")
        both.run("get", "b", "--prefix", "-w", "json")

    def test_errors(self, both):
        fill(both)
        both.run("get", "a", "--rev", 100, status=1)
        both.run("get", "a", "--rev", -1)
        both.run("compaction", 5)
        both.run("get", "a", "--rev", 4, status=1)
        both.run("get", "a", "--rev", 5, status=0)
        both.run("get", status=128)
        both.run("get", "a", "b", "c")
        both.run("get", "", status=1)
        both.run("get", "a", "--prefix", "--from-key")
        both.run("get", "a", "--sort-by", "nothing")
        both.run("get", "a", "--consistency", "x")
        both.run("get", "a", "-w", "nothing")
        both.run("get", "a", "--unknown-flag")

    def test_with_a_user_where_there_are_none(self, both):
        """Scripts pass one whatever the cluster; etcdctl goes on without when it is told that authentication is off."""
        both.run("put", "a", "1", "--user", "root:secret", status=0)
        both.run("get", "a", "--user", "root", "--password", "secret", status=0)


class TestPutAndDelete:
    def test_put(self, both):
        both.formats("put", "a", "1")
        both.formats("put", "a", "2", "--prev-kv")
        both.run("put", "a", stdin="from stdin\n")
        both.run("get", "a", "-w", "json")
        both.run("put", "empty", "")
        both.run("put", "--", "-dash", "-value")
        both.run("put", "a", "--ignore-value", "--prev-kv", "-w", "json")
        both.run("get", "", "--prefix", "-w", "json")

    def test_put_errors(self, both):
        both.run("put", "missing", "--ignore-value", status=1)
        both.run("put", "missing", "value", "--ignore-lease", status=1)
        both.run("put", "a", "1", "--lease", "7bad", status=1)
        both.run("put", "a", "1", "--lease", "not hexadecimal")
        both.run("put", "", "value", status=1)
        both.run("put", status=128)
        both.run("put", "a", "value", "--ignore-value")
        both.run("put", "a", stdin="x" * 1_600_000, status=1)
        both.run("put", "a", stdin="x" * 3_000_000, status=1)
        both.run("get", "", "--prefix", "-w", "json")

    def test_lease_of_a_key(self, both):
        leases = both.each(lambda daemon: daemon.client.grant(600, 0x1234_5678_9ABC)).map(lambda id: f"{id:x}")
        both.run("put", "a", "1", "--lease", leases, status=0)
        both.formats("get", "a")
        both.run("put", "a", "2", "--ignore-lease", "-w", "json")
        both.run("get", "a", "-w", "json")
        both.run("put", "a", "3")
        both.run("get", "a", "-w", "json")

    def test_delete(self, both):
        fill(both)
        both.formats("del", "missing")
        both.run("del", "a", "--prev-kv", "-w", "json")
        both.run("del", "b", "c", "--prev-kv")
        both.run("get", "", "--prefix", "-w", "json")
        fill(both)
        both.run("del", "b", "--prefix", "--prev-kv", "-w", "fields")
        both.run("del", "é", "--from-key", "-w", "simple", "--prev-kv")
        both.run("get", "", "--prefix", "-w", "json")
        both.run("del", "", "--prefix", "-w", "json")
        both.run("get", "", "--prefix", "-w", "json")
        both.run("del", status=128)
        both.run("del", "a", "b", "--prefix")
        both.run("del", "a", "--prefix", "--from-key")


class TestTransactions:
    def test_branches(self, both):
        fill(both)
        true, false = 'value("a") = "1 again"\n', 'value("a") = "2"\n'
        rest = "\nput a then\nget a\n\nput a else\nget a\n\n"
        both.run("txn", stdin=true + rest, status=0)
        both.run("txn", stdin=false + rest)
        both.run("txn", stdin="\n" + rest[1:])
        both.run("txn", "-i", stdin='version("b") > "1"\n\nget b --prefix\n\nget c\n\n')
        both.formats("txn", stdin='mod("missing") = "0"\n\nget b --prefix\n\nget c\n\n')
        both.run("txn", "-w", "json", stdin="\nput x 1\nput y 2\ndel b --prefix\nget x\n\n\n")
        both.run("get", "", "--prefix", "-w", "json")

    def test_every_comparison(self, both):
        fill(both)
        both.run("put", "b", "2 more")
        comparisons = []
        for operator in ("=", "!=", "<", ">"):
            for target, values in [
                ("ver", ("0", "1", "3", "9")),
                ("version", ("3",)),
                ("c", ("3", "4")),
                ("create", ("0", "3", "99")),
                ("m", ("11",)),
                ("mod", ("9", "11", "12")),
                ("val", ("2 more", "1", "9")),
                ("value", ("",)),
            ]:
                comparisons += [f'{target}("{key}") {operator} "{value}"' for value in values for key in ("b", "missing")]
        for comparison in comparisons:
            both.run("txn", stdin=f"{comparison}\n\nget a\n\n\n")

    def test_errors(self, both):
        fill(both)
        both.run("txn", stdin="\nput k 1\nput k 2\n\n\n", status=1)
        both.run("txn", stdin="\nput k 1\ndel k\n\n\n", status=1)
        both.run("txn", stdin="\nput k 1\n\nput k 1\nput k 2\n\n", status=1)
        both.run("txn", stdin="\n" + "".join(f"put k{index} 1\n" for index in range(129)) + "\n\n", status=1)
        both.run("txn", stdin="\n" + "".join(f"put k{index} 1\n" for index in range(128)) + "\n\n", status=0)
        both.run("txn", stdin="\nput k 1 --lease=7bad\nput l 2\n\n\n", status=1)
        both.run("txn", stdin="\nget a --rev=1000\n\n\n", status=1)
        both.run("txn", stdin='nonsense("a") = "1"\n\n\n\n')
        both.run("txn", stdin="\nfrobnicate a\n\n\n")
        both.run("txn", stdin="")
        both.run("get", "", "--prefix", "-w", "json")
        both.run("compaction", 5)
        both.run("txn", stdin="\nget a --rev=4\n\n\n", status=1)


class TestWatch:
    @staticmethod
    def outputs(pair, sentinel):
        """What both printed until the sentinel came."""
        return pair.map(lambda process: process.wait_for(sentinel))

    def test_from_a_revision(self, both):
        fill(both)
        both.run("del", "b")
        both.run("txn", stdin="\nput b/3 x\nput b/4 y\ndel b/1\n\n\n")
        both.run("put", "b/end", "the end")
        for extra in [(), ("--prev-kv",), ("-w", "json"), ("-w", "json", "--prev-kv"), ("-w", "fields"), ("--hex",)]:
            for arguments in [("b", "--prefix"), ("b", "c"), ("", "--prefix")]:
                sentinel = "dGhlIGVuZA==" if "json" in extra else "\\x74\\x68\\x65" if "--hex" in extra else "the end"
                with both.running("watch", *arguments, "--rev", 2, *extra) as watchers:
                    outputs = self.outputs(watchers, sentinel)
                both.compare_texts(f"watch {arguments} {extra}", outputs)

    def test_live(self, both):
        both.run("put", "w", "before")
        with both.running("watch", "w", "--prefix", "--prev-kv", "-w", "json") as watchers:
            # The command does not say when it watches: the same puts go to both until both have seen one.
            def seen():
                both.raw("put", "w", "warm-up")
                return all(watcher.stdout for watcher in (watchers.reference, watchers.ours))

            poll(seen, 20, "an event at both watchers", 0.05)
            both.run("put", "w", "first")
            both.run("put", "w", "first")
            both.run("put", "w/1", "second")
            both.run("put", "x", "unseen")
            both.run("del", "w", "--prefix")
            both.run("put", "w/end", "the end")
            outputs = self.outputs(watchers, "dGhlIGVuZA==")
        # "first" encoded: from there on, both saw the same.
        both.compare_texts("live watch", outputs.map(lambda text: text[text.rindex("\n", 0, text.index("Zmlyc3Q=")) :]))

    def test_interactive(self, both):
        fill(both)
        with both.running("watch", "-i", stdin=True) as watchers:
            watchers.map(lambda watcher: watcher.send("watch a --rev=2\n"))
            self.outputs(watchers, "1 again")
            watchers.map(lambda watcher: watcher.send("watch b --rev=2 --prefix --prev-kv\n"))
            both.run("put", "b/end", "the end")
            outputs = self.outputs(watchers, "the end")
        both.compare_texts("watch -i", outputs)

    def test_executes_a_command_for_each_event(self, both):
        fill(both)
        script = 'echo "$ETCD_WATCH_REVISION $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"'
        with both.running("watch", "a", "--rev", 2, "--", "sh", "-c", script) as watchers:
            outputs = self.outputs(watchers, '"1 again"\n')
        both.compare_texts("watch with a command", outputs)

    def test_progress_and_future_revision(self, both):
        fill(both)
        with both.running("watch", "a", "--rev", 12, "--progress-notify", "-w", "json") as watchers:
            both.run("put", "a", "too early")
            both.run("put", "a", "also too early")
            both.run("put", "a", "the end")
            outputs = self.outputs(watchers, "dGhlIGVuZA==")
        both.compare_texts("watch from a future revision", outputs)

    def test_compacted_start(self, both):
        fill(both)
        both.run("compaction", 8)
        for form in ("simple", "json"):
            with both.running("watch", "a", "--rev", 3, "-w", form) as watchers:
                results = watchers.map(lambda watcher: watcher.wait_exit())
            both.compare(f"watch from a compacted revision, {form}", results)
        with both.running("watch", "a", "--rev", 8) as watchers:
            both.compare_texts("watch from the compacted revision", self.outputs(watchers, "1 again"))

    def test_errors(self, both):
        both.run("watch", status=128)
        both.run("watch", "a", "--rev", "x")


class TestLeases:
    def test_life_of_a_lease(self, both):
        scrub = [(r"remaining\(\d+s\)", "remaining(<TTL>)"), (r'"ttl":\d+', '"ttl":"<TTL>"'), (r'("TTL" : )\d+', r"\1<TTL>")]
        scrub += [(r"TTL\(\d+s\)", "TTL(<TTL>)")]
        granted = both.raw("lease", "grant", 600)
        leases = both.name("LEASE", granted.map(lambda result: first_hexadecimal(result.stdout))).map("{:x}".format)
        both.compare("lease grant", granted)
        for form in ("json", "fields"):
            other = both.raw("lease", "grant", 500, "-w", form)
            ids = both.json("lease", "list").map(lambda reply: [lease["id"] for lease in reply["leases"]])
            known = both.sides.map(lambda side: set(side.names))
            new = Pair(*(next(id for id in getattr(ids, s) if str(id) not in getattr(known, s)) for s in ("reference", "ours")))
            both.name(f"LEASE-{form}", new)
            both.compare(f"lease grant -w {form}", other, scrub)
            both.run("lease", "revoke", new.map("{:x}".format), status=0)
        both.formats("lease", "list", formats=("simple", "json", "fields"))
        both.formats("lease", "timetolive", leases, formats=TEXT_FORMATS, scrub=scrub)
        for key in ("l/1", "l/2"):
            both.run("put", key, "leased", "--lease", leases)
        both.formats("lease", "timetolive", leases, "--keys", formats=("simple", "json", "fields"), scrub=scrub, unordered=True)
        both.run("lease", "keep-alive", leases, "--once", status=0)
        both.run("lease", "keep-alive", leases, "--once", "-w", "json", scrub=scrub)
        both.run("get", "l/", "--prefix", "-w", "json")
        both.run("lease", "revoke", leases, status=0)
        both.run("get", "l/", "--prefix", "-w", "json")
        both.formats("lease", "timetolive", leases, formats=("simple", "json", "fields"))
        both.run("lease", "list")

    def test_expiry_deletes_the_keys(self, both):
        ids = both.each(lambda daemon: daemon.client.grant(1, 0x77))
        both.run("put", "short", "lived", "--lease", ids.map("{:x}".format))
        both.run("put", "long", "lived")
        poll(lambda: both.each(lambda daemon: daemon.client.get(b"short")) == Pair(None, None), 15, "the lease expires")
        both.run("get", "", "--prefix", "-w", "json")
        both.run("lease", "list")
        both.run("lease", "timetolive", "77", "-w", "json")
        both.run("put", "short", "again", "-w", "json")

    def test_errors(self, both):
        both.run("lease", "revoke", "7bad", status=1)
        both.run("lease", "keep-alive", "7bad", "--once")
        both.run("lease", "timetolive", "7bad")
        both.run("lease", "grant", status=128)
        both.run("lease", "grant", "x")
        short = both.raw("lease", "grant", "0")
        both.name("SHORT", short.map(lambda result: first_hexadecimal(result.stdout)))
        both.compare("lease grant 0", short)
        both.run("lease", "grant", "-1")
        both.run("lease", "grant", "9000000001", status=1)
        both.run("lease", "revoke", "not hexadecimal")
        both.run("lease", "revoke", "0")


class TestMaintenance:
    def test_compaction(self, both):
        fill(both)
        both.run("compaction", 5, status=0)
        both.run("compaction", 5, status=1)
        both.run("compaction", 4, status=1)
        both.run("compaction", 8, "--physical")
        both.run("compaction", 100, status=1)
        both.run("compaction", 0)
        both.run("compaction", -1)
        both.run("compaction", "x")
        both.run("compaction", status=128)
        both.run("get", "", "--prefix", "-w", "json")
        both.formats("endpoint", "hashkv", formats=TEXT_FORMATS)

    def test_status_health_and_hash(self, both):
        both.formats("endpoint", "status", formats=TEXT_FORMATS, status=0)
        both.formats("endpoint", "health", formats=("simple", "json", "table"), status=0)
        both.formats("endpoint", "hashkv", formats=TEXT_FORMATS)
        fill(both)
        both.run("del", "b", "--prefix")
        both.formats("endpoint", "status", formats=TEXT_FORMATS)
        both.formats("endpoint", "hashkv", formats=TEXT_FORMATS)
        both.run("endpoint", "status", "--cluster", "-w", "json")
        both.run("endpoint", "health", "--cluster")
        both.run("endpoint", "hashkv", "--cluster")
        both.restart()
        scrub = [(r'"raft(Index|AppliedIndex|Term|_term)":\d+', r'"raft\1":"<N>"')]
        both.run("endpoint", "status", "-w", "json", scrub=scrub)
        both.run("endpoint", "hashkv", "-w", "json", scrub=scrub)
        both.run("get", "", "--prefix", "-w", "json", scrub=scrub)

    def test_hash_at_every_revision(self, both):
        fill(both)
        both.run("del", "b", "--prefix")
        both.run("compaction", 4)
        # 3.5.1 still refused the compacted revision itself.
        first = 4 if both.release.number >= (3, 5, 30) else 5
        hashes = both.each(lambda daemon: [daemon.client.hash_kv(revision) for revision in range(first, 12)])
        assert hashes.ours == hashes.reference
        failures = both.each(
            lambda daemon: [daemon.client.outcome("Maintenance/HashKV", bytes([8, revision])) for revision in (1, 2, 3, 100)]
        )
        assert failures.ours == failures.reference

    def test_alarms(self, both):
        both.formats("alarm", "list", formats=TEXT_FORMATS)
        both.formats("alarm", "disarm", formats=("simple", "json"))
        # NOSPACE raised by request, as an operator's tool would.
        raised = both.each(lambda daemon: daemon.client.outcome("Maintenance/Alarm", b"\x08\x01\x18\x01") is not None)
        assert raised.ours and raised.reference
        both.formats("alarm", "list", formats=TEXT_FORMATS)
        both.run("endpoint", "status", "-w", "json")
        both.run("endpoint", "health", "-w", "json")
        both.run("put", "a", "1")
        both.run("get", "a", "-w", "json")
        both.run("lease", "grant", "10")
        both.run("txn", stdin="\nput a 1\n\n\n")
        both.run("del", "a")
        both.run("compaction", 1)
        both.run("alarm", "disarm")
        both.run("alarm", "list")
        both.run("put", "a", "1", status=0)

    def test_defrag(self, both):
        fill(both)
        both.run("defrag", status=0)
        both.run("defrag", "--cluster", status=0)
        both.run("get", "", "--prefix", "-w", "json")
        both.formats("endpoint", "hashkv", formats=("json",))

    def test_snapshot(self, both):
        fill(both)
        both.run("del", "b", "--prefix")
        files = both.path("backup.db")
        both.run("snapshot", "save", files, status=0)
        scrub = [(r'"hash":\d+', '"hash":"<HASH>"'), (r"(?m)^[0-9a-f]+, ", "<HASH>, "), (r'("Hash" : )\d+', r"\1<HASH>")]
        scrub += [(r"(?m)^\|[0-9a-f]+\|", "|<HASH>|")]
        for program in (both.release.etcdutl, both.release.etcdctl):
            both.formats(
                "snapshot", "status", files, formats=TEXT_FORMATS, scrub=scrub, program=program, endpoints=False, status=0
            )

    def test_version(self, both):
        both.run("version", status=0)


class TestMembers:
    def test_list(self, both):
        both.formats("member", "list", formats=TEXT_FORMATS, status=0)
        both.run("member", "list", "--hex", "-w", "json")

    def test_errors(self, both):
        both.run("member", "remove", "7bad", status=1)
        both.run("member", "remove", "not hexadecimal")
        both.run("member", "remove", status=128)
        both.run("member", "update", "7bad", "--peer-urls", "http://127.0.0.1:1", status=1)
        both.run("member", "update", "7bad")
        both.run("member", "promote", "7bad", status=1)
        both.run("member", "promote")
        both.run("member", "add", "x")
        both.run("member", "add", "x", "--peer-urls", "not a url")
        both.run("member", "add", "x", "--peer-urls", both.sides.map(lambda side: side.daemon.peer_url), status=1)
        both.run("move-leader", "7bad", status=1)
        both.run("move-leader", "not hexadecimal")
        both.run("move-leader")

    def test_own_member(self, both):
        own = both.each(lambda daemon: daemon.client.members()[0]["id"]).map("{:x}".format)
        both.run("move-leader", own)
        both.run("member", "promote", own, status=1)
        both.run("member", "update", own, "--peer-urls", both.sides.map(lambda side: side.daemon.peer_url), status=0)
        both.run("member", "update", own, "--peer-urls", "http://127.0.0.1:1,http://127.0.0.1:2")
        both.run("member", "list", "-w", "json")

    def test_learner(self, both):
        added = both.raw("member", "add", "learner", "--learner", "--peer-urls", "http://127.0.0.1:9")
        ids = both.name("LEARNER", added.map(lambda result: first_hexadecimal(result.stdout)))
        both.compare("member add --learner", added, unordered=True)
        both.formats("member", "list", formats=TEXT_FORMATS, unordered=True)
        both.run("member", "add", "second", "--learner", "--peer-urls", "http://127.0.0.1:8", status=1)
        both.run("member", "promote", ids.map("{:x}".format), status=1)
        both.run("move-leader", ids.map("{:x}".format), status=1)
        both.run("put", "a", "1", status=0)
        both.run("member", "remove", ids.map("{:x}".format), status=0)
        both.run("member", "remove", ids.map("{:x}".format), status=1)
        both.run("member", "list", "-w", "json")

    def test_add_a_voter(self, both):
        added = both.raw("member", "add", "second", "--peer-urls", "http://127.0.0.1:9")
        both.name("SECOND", added.map(lambda result: first_hexadecimal(result.stdout)))
        both.compare("member add", added, unordered=True)


class TestMirror:
    @pytest.mark.parametrize("direction", ["from", "to"])
    def test_make_mirror(self, both, daemons, reference, direction):
        """A mirror from the members to a real etcd, and from a real etcd to the members."""
        others = [daemons(etcd(reference), f"other-{side}").start() for side in ("reference", "ours")]
        other = Pair(*others)
        if direction == "from":
            source, target = both.endpoint, other.map(lambda daemon: daemon.endpoint)
            write, read = both.sides.map(lambda side: side.daemon.client), other.map(lambda daemon: daemon.client)
        else:
            source, target = other.map(lambda daemon: daemon.endpoint), both.endpoint
            write, read = other.map(lambda daemon: daemon.client), both.sides.map(lambda side: side.daemon.client)
        write.map(lambda client: [client.put(b"m/%d" % index, b"value %d" % index) for index in range(300)])
        command = ("make-mirror", "--endpoints", source, "--prefix", "m/", "--dest-prefix", "copy/", target)
        with both.running(*command, endpoints=False) as mirrors:

            def mirrored(number, value):
                def all_there():
                    counts = read.map(lambda client: client.range(b"copy/", b"copy0").get("count", 0))
                    last = read.map(lambda client: client.get(b"copy/last"))
                    return counts == Pair(number, number) and last == Pair(value, value)

                poll(all_there, 20, lambda: f"{number} keys in the mirror; {mirrors.map(lambda m: m.stderr)}")

            write.map(lambda client: client.put(b"m/last", b"1"))
            mirrored(301, b"1")
            write.map(lambda client: client.delete(b"m/2", b"m/3"))
            write.map(lambda client: client.put(b"m/last", b"2"))
            mirrored(301 - 111, b"2")


@pytest.mark.slow
def test_check_perf(both):
    """The verdict depends on the machine; that the load runs to its end does not."""
    results = both.raw("check", "perf", "--load", "s", "--auto-compact", "--auto-defrag", seconds=180)
    for result in (results.reference, results.ours):
        assert "Throughput is" in result.stdout + result.stderr or "Throughput too low" in result.stdout + result.stderr, result
        assert "FAIL: too many errors" not in result.stdout + result.stderr


def test_check_datascale(both):
    results = both.raw("check", "datascale", "--load", "s")
    for result in (results.reference, results.ours):
        assert "PASS" in result.stdout, result
