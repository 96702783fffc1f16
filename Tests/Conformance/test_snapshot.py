"""`quorate snapshot status` and `restore` against etcdutl's: the same words, and a directory that both start from."""

import json
import os
import subprocess

import pytest

from harness.contents import read_contents, write_history
from harness.daemon import Daemon, etcd, quorate

TOOL_SECONDS = 60
LAYOUTS = ["simple", "json", "fields", "table"]


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=TOOL_SECONDS)


def tool(*words):
    return run(os.environ["QUORATE_BINARY"], "snapshot", *words)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, reference):
    """A database saved from real etcd, and what was in it."""
    folder = tmp_path_factory.mktemp("saved")
    daemon = Daemon(etcd(reference), folder)
    try:
        daemon.start()
        for id in range(1_000, 1_010):
            daemon.client.grant(3_600, id)
        write_history(daemon.client, 1, 1_500, range(1_000, 1_010))
        daemon.client.compact(daemon.client.revision() - 300)
        contents = read_contents(daemon.client)
        run(reference.etcdctl, "--endpoints", daemon.endpoint, "snapshot", "save", folder / "saved.db").check_returncode()
    finally:
        daemon.stop()
    return folder / "saved.db", contents


@pytest.mark.parametrize("layout", LAYOUTS)
def test_status_prints_what_etcdutl_prints(layout, saved, reference):
    ours = tool("status", saved[0], "-w", layout)
    theirs = run(reference.etcdutl, "snapshot", "status", saved[0], "-w", layout)
    assert theirs.returncode == 0
    if theirs.stdout.startswith("+--"):
        pytest.skip(f"etcdutl {reference.version} draws tables in ASCII")
    assert (ours.stdout, ours.returncode) == (theirs.stdout, theirs.returncode)


@pytest.mark.parametrize(
    "words", [["status"], ["status", "a", "b"], ["status", "/nonexistent"], ["restore"], ["status", "/nonexistent", "-w", "xml"]]
)
def test_wrong_use_ends_with_the_same_code(words, reference):
    ours, theirs = tool(*words), run(reference.etcdutl, "snapshot", *words)
    assert ours.returncode == theirs.returncode
    assert ours.stderr.startswith("Error: ")


def restore(saved_file, daemon, *more):
    return tool(
        "restore", saved_file, "--data-dir", daemon.data_dir, "--name", "restored", "--initial-cluster-token", "another",
        "--initial-cluster", f"restored={daemon.peer_url}", "--initial-advertise-peer-urls", daemon.peer_url, *more,
    )  # fmt: skip


@pytest.mark.parametrize("server", ["etcd", "quorate"])
def test_a_restored_directory_starts_a_new_cluster(server, saved, daemons, reference, tmp_path):
    software = etcd(reference) if server == "etcd" else quorate()
    file, contents = saved
    daemon = daemons(software, "ours", name="restored")
    outcome = restore(file, daemon)
    assert outcome.returncode == 0, outcome.stderr
    # The ids are those that etcdutl computes.
    theirs = daemons(etcd(reference), "theirs", name="restored")
    run(
        reference.etcdutl, "snapshot", "restore", file, "--data-dir", theirs.data_dir, "--name", "restored",
        "--initial-cluster-token", "another", "--initial-cluster", f"restored={daemon.peer_url}",
        "--initial-advertise-peer-urls", daemon.peer_url,
    ).check_returncode()  # fmt: skip
    for one in (daemon, theirs):
        one.flags = ["--initial-cluster-token", "another"]
    theirs.start()
    expected = read_contents(theirs.client)
    theirs.stop()
    daemon.start()
    found = read_contents(daemon.client)
    assert [member[0] for member in found.members] == [member[0] for member in expected.members]
    expected.members = found.members
    expected.assert_equal(found)
    found.members = contents.members
    contents.assert_equal(found)
    write_history(daemon.client, 5, 200)
    daemon.stop()


@pytest.mark.parametrize("server", ["etcd", "quorate"])
def test_bumped_revisions_count_as_compacted(server, saved, daemons, reference):
    daemon = daemons(etcd(reference) if server == "etcd" else quorate(), "bumped", name="restored")
    file, contents = saved
    assert restore(file, daemon, "--bump-revision", "1000000", "--mark-compacted").returncode == 0
    daemon.flags = ["--initial-cluster-token", "another"]
    daemon.start()
    status = json.loads(
        run(reference.etcdctl, "--endpoints", daemon.endpoint, "endpoint", "status", "-w", "json").stdout
    )
    assert status[0]["Status"]["header"]["revision"] == contents.revision + 1_000_000
    old = run(reference.etcdctl, "--endpoints", daemon.endpoint, "get", "--rev", str(contents.revision), "a")
    assert "required revision has been compacted" in old.stderr
    daemon.stop()


def test_a_copied_file_needs_to_be_asked_for(saved, daemons, tmp_path):
    copied = tmp_path / "copied.db"
    copied.write_bytes(saved[0].read_bytes()[:-32])
    daemon = daemons(quorate(), "copied", name="restored")
    refused = restore(copied, daemon)
    assert (refused.returncode, refused.stderr) == (1, "Error: snapshot missing hash but --skip-hash-check=false\n")
    assert not daemon.data_dir.exists()
    assert restore(copied, daemon, "--skip-hash-check").returncode == 0
    again = restore(copied, daemon, "--skip-hash-check")
    assert again.stderr == f'Error: data-dir "{daemon.data_dir}" not empty or could not be read\n'


def test_a_changed_file_is_refused_and_nothing_is_left(saved, daemons, tmp_path):
    changed = tmp_path / "changed.db"
    content = bytearray(saved[0].read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    daemon = daemons(quorate(), "changed", name="restored")
    refused = restore(changed, daemon)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: expected sha256 [")
    assert not daemon.data_dir.exists()
