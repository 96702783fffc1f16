"""`quorate pagefile`: what it finds in the files that etcd and Quorate wrote, sound and damaged."""

import subprocess

import pytest

from harness import releases
from harness.client import put_request
from harness.daemon import etcd, quorate

PAGE = 4096


def pagefile(*arguments):
    done = subprocess.run(
        [quorate().command[0], "pagefile", *map(str, arguments)], capture_output=True, text=True, timeout=30, errors="replace"
    )
    return done.returncode, done.stdout, done.stderr


def written(daemons, software):
    """A page file with a tree of some pages, of a member that has stopped."""
    daemon = daemons(software, f"by-{software}").start()
    for future in [daemon.client.start("KV/Put", put_request(b"k%d" % number, b"x" * 500)) for number in range(400)]:
        future.result()
    daemon.stop()
    return daemon.data_dir / "member" / "snap" / "db"


@pytest.mark.parametrize("line", ["3.4", "3.5", "3.6", "3.7", None])
def test_files_of_every_release_are_sound(daemons, line):
    release = releases.newest(line) if line else None
    if line and release is None:
        pytest.skip(f"no etcd {line} in ETCD_REFERENCE_DIR")
    file = written(daemons, etcd(release) if line else quorate())
    status, report, errors = pagefile("check", file)
    assert (status, errors) == (0, "") and report.strip(), report
    status, pages, errors = pagefile("pages", file)
    assert (status, errors) == (0, "")
    assert len(pages.splitlines()) > 60 and "leaf" in pages and "branch" in pages and "meta" in pages
    status, statistics, errors = pagefile("stats", file)
    assert (status, errors) == (0, "")
    assert {"key", "meta", "members", "lease", "alarm", "cluster"} <= {line.split()[0].rstrip(":") for line in statistics.splitlines()}, statistics
    for page in (0, 2, 3):
        status, dump, errors = pagefile("dump", file, page)
        assert status == 0 and dump and not errors, (page, errors)


def test_damage_is_named_with_file_and_page(daemons):
    file = written(daemons, quorate())
    sound = file.read_bytes()
    _, listed, _ = pagefile("pages", file)
    leaf = next(int(line.split()[0]) for line in listed.splitlines()[1:] if "leaf" in line and int(line.split()[0]) > 3)
    count = int.from_bytes(sound[leaf * PAGE + 10 : leaf * PAGE + 12], "little")
    assert count > 1, "the leaf is not where the format has it"
    damaged = bytearray(sound)
    # The number of elements, which do not fit then.
    damaged[leaf * PAGE + 10 : leaf * PAGE + 12] = b"\xff\xff"
    file.write_bytes(damaged)
    status, report, errors = pagefile("check", file)
    assert status == 1 and str(leaf) in report + errors, report + errors
    for command in ("pages", "stats"):
        status, _, errors = pagefile(command, file)
        assert status == 1 and f"{file} page {leaf}:" in errors, errors
    # Which shows what is there, whatever it is.
    status, dump, _ = pagefile("dump", file, leaf)
    assert status == 0 and "65535" in dump and "unreadable" in dump, dump
    for content in (b"", sound[:PAGE], bytes(len(sound)), b"not a page file" * 1000):
        file.write_bytes(content)
        status, report, errors = pagefile("check", file)
        assert status == 1 and str(file) in errors, (len(content), report, errors)


def test_wrong_words_and_files_in_use(daemons, tmp_path):
    for words in ((), ("check",), ("nonsense", "x"), ("dump", "x"), ("check", "x", "y")):
        status, _, errors = pagefile(*words)
        assert status == 2 and errors.startswith("usage"), words
    status, _, errors = pagefile("check", tmp_path / "nothing")
    assert status == 1 and "nothing" in errors
    member = daemons(quorate(), "member").start()
    status, _, errors = pagefile("check", member.data_dir / "member" / "snap" / "db")
    assert status == 1 and "lock" in errors.lower(), errors
