"""The metrics page: etcd's names, types and labels, and true figures behind them."""

import contextlib

import grpc
import pytest

from harness import web
from harness.client import ALL_KEYS, operation, put_request, range_request
from harness.daemon import poll, quorate

#: Deliberately absent, and why.
ABSENT = {
    "etcd_debugging_store_": "the v2 store, which a v3 member does not have",
    "etcd_grpc_proxy_": "etcd's gRPC proxy is another program",
    "etcd_server_go_version": "no Go",
    "go_": "Go's runtime",
    "promhttp_": "Go's HTTP handler for metrics",
}
#: Zero in one of the two and not in the other, and why.
MAY_BE_ZERO = {
    "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds": "whole milliseconds in etcd",
    "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds": "whole milliseconds in etcd",
    "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds": "whole milliseconds in etcd",
    "etcd_debugging_disk_backend_commit_rebalance_duration_seconds": "rarely anything to merge",
    "process_": "the process",
    "os_": "the process",
}
#: What etcd's dashboard and alerts (contrib/mixin of 3.5.30) ask for, but for what only peers bring about.
MIXIN = [
    "etcd_disk_backend_commit_duration_seconds", "etcd_disk_wal_fsync_duration_seconds", "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes", "etcd_network_client_grpc_received_bytes_total",
    "etcd_network_client_grpc_sent_bytes_total", "etcd_server_has_leader", "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_applied_total", "etcd_server_proposals_committed_total", "etcd_server_proposals_failed_total",
    "etcd_server_proposals_pending", "etcd_server_quota_backend_bytes", "grpc_server_handled_total",
    "grpc_server_handling_seconds", "grpc_server_started_total", "process_resident_memory_bytes",
]  # fmt: skip
#: Figures that follow from what was asked alone, so that both must have the same.
SAME = [
    "etcd_cluster_version", "etcd_debugging_auth_revision", "etcd_debugging_lease_granted_total",
    "etcd_debugging_lease_renewed_total", "etcd_debugging_lease_revoked_total", "etcd_debugging_lease_ttl_total",
    "etcd_debugging_mvcc_compact_revision", "etcd_debugging_mvcc_current_revision", "etcd_debugging_mvcc_db_compaction_keys_total",
    "etcd_debugging_mvcc_events_total", "etcd_debugging_mvcc_keys_total", "etcd_debugging_mvcc_pending_events_total",
    "etcd_debugging_mvcc_slow_watcher_total", "etcd_debugging_mvcc_total_put_size_in_bytes",
    "etcd_debugging_mvcc_watch_stream_total", "etcd_debugging_mvcc_watcher_total", "etcd_debugging_server_lease_expired_total",
    "etcd_disk_defrag_inflight", "etcd_mvcc_delete_total", "etcd_mvcc_put_total", "etcd_mvcc_txn_total",
    "etcd_server_has_leader", "etcd_server_health_failures", "etcd_server_health_success",
    "etcd_server_heartbeat_send_failures_total", "etcd_server_is_leader", "etcd_server_is_learner",
    "etcd_server_leader_changes_seen_total", "etcd_server_proposals_applied_total", "etcd_server_proposals_committed_total",
    "etcd_server_proposals_failed_total", "etcd_server_proposals_pending", "etcd_server_quota_backend_bytes",
    "etcd_server_read_indexes_failed_total", "etcd_server_slow_apply_total", "etcd_server_snapshot_apply_in_progress_total",
    "grpc_server_handled_total", "grpc_server_msg_received_total", "grpc_server_msg_sent_total", "grpc_server_started_total",
]  # fmt: skip


def starts_with_one_of(name, prefixes):
    return any(name.startswith(prefix) for prefix in prefixes)


def exercise(daemon):
    """Every kind of request that leaves a trace, the same on both."""
    client = daemon.client
    for index in range(20):
        client.put(b"k%d" % index, b"value")
    client.put(b"k0", b"again")
    client.delete(b"k1")
    client.grant(600, 7)
    client.put(b"leased", b"1", lease=7)
    client.put(b"leased too", b"1", lease=7)
    client.call("Lease/LeaseRevoke", b"\x08\x07")
    client.txn(success=[operation(put=put_request(b"a", b"1")), operation(put=put_request(b"b", b"1"))])
    client.txn(success=[operation(put=put_request(b"a", b"2"))])
    client.txn(success=[operation(range=range_request(b"a")), operation(range=range_request(b"b"))])
    client.outcome("KV/Put", put_request(b"", b"no key"))
    client.outcome("KV/Range", range_request(b"k0", revision=10_000))
    client.outcome("Lease/LeaseRevoke", b"\x08\x63")
    client.range(*ALL_KEYS)
    client.compact(10)
    client.hash_kv()
    client.call("Maintenance/Hash", b"")
    client.call("Maintenance/Defragment", b"")
    client.snapshot(daemon.folder / "snapshot")
    web.request(daemon.client_port, "/health")


@pytest.fixture(scope="module")
def pages(module_both):
    both = module_both
    with contextlib.ExitStack() as stack:
        watches = []
        for daemon in (both.sides.reference.daemon, both.sides.ours.daemon):
            for key in (b"k0", b"k1"):
                watch = stack.enter_context(daemon.client.watch(key))
                next(watch)
                watches.append(watch)
        both.each(exercise)
        for watch in watches:
            events = 0
            while events < 2:
                events += len(next(watch).get("events", []))
        yield scrape(both)


def scrape(both):
    # A page file's commit, and the end of calls, come a little later.
    for daemon in (both.sides.reference.daemon, both.sides.ours.daemon):
        commits = "etcd_disk_backend_commit_duration_seconds"
        poll(lambda: web.metrics(daemon.client_port)[commits][2]["_count"] > 3, 10, "commits are counted")
    return both.each(lambda daemon: web.metrics(daemon.client_port))


def test_names_types_and_labels(pages):
    assert sorted(pages.reference) == sorted(set(pages.reference) & set(pages.ours) | {
        name for name in pages.reference if starts_with_one_of(name, ABSENT)
    })  # fmt: skip
    for name, (kind, labels, _) in pages.reference.items():
        if starts_with_one_of(name, ABSENT):
            continue
        assert pages.ours[name][0] == kind, name
        assert pages.ours[name][1] == labels, name


def test_what_dashboard_and_alerts_ask_for(pages):
    # Handling times come with --metrics=extensive.
    assert [name for name in MIXIN if name not in pages.ours] == ["grpc_server_handling_seconds"]


@pytest.mark.parametrize("name", SAME)
def test_same_figures(pages, name):
    assert shown(pages.ours[name][2]) == shown(pages.reference[name][2])


def shown(samples):
    """Zeroes left out: etcd makes labelled metrics at their first use; and ranges, by which the harness waits for the start."""
    return {labels: value for labels, value in samples.items() if value and 'method="Range"' not in labels}


def test_what_happened_is_counted(pages):
    """Where etcd counts or measures something after the same requests, so does the member under test."""
    missing = []
    for name, (_, _, samples) in pages.reference.items():
        if starts_with_one_of(name, ABSENT) or starts_with_one_of(name, MAY_BE_ZERO):
            continue
        ours = pages.ours[name][2]
        for labels, value in samples.items():
            if value and not labels.startswith("_bucket") and "server_id" not in labels and "server_version" not in labels:
                if not ours.get(labels):
                    missing.append(name + labels)
    assert not missing


def test_handling_times_when_extensive(daemons):
    member = daemons(quorate(), "member", flags=["--metrics", "extensive"]).start()
    member.client.put(b"a", b"1")
    samples = web.metrics(member.client_port)["grpc_server_handling_seconds"][2]
    labels = '{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}'
    assert samples["_count" + labels] == 1 and samples["_sum" + labels] > 0


def test_a_call_the_client_leaves_is_cancelled(daemons):
    member = daemons(quorate(), "member").start()
    with member.client.watch(b"a") as responses:
        next(responses)
    wanted = '{grpc_code="Canceled",grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"}'
    handled = "grpc_server_handled_total"
    poll(lambda: web.metrics(member.client_port)[handled][2].get(wanted) == 1, 5, "the watch is counted as cancelled")
    with pytest.raises(grpc.RpcError):
        member.client.put(b"", b"")
    wanted = '{grpc_code="InvalidArgument",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}'
    assert web.metrics(member.client_port)[handled][2][wanted] == 1
