"""What the executable is made of."""

import os
import subprocess


def binary():
    return os.environ["QUORATE_BINARY"]


def test_no_swift_runtime_package_is_needed():
    libraries = subprocess.run(["ldd", binary()], capture_output=True, text=True, check=True).stdout
    assert "libnghttp2" in libraries
    assert "libswift" not in libraries and "Foundation" not in libraries and "not found" not in libraries


def test_no_foundation_inside():
    # The mangled names of the module's own symbols; the standard library mentions it in lower case only.
    with open(binary(), "rb") as file:
        content = file.read()
    assert b"10Foundation" not in content and b"20FoundationEssentials" not in content


def test_versions():
    for arguments in (["--version"], ["member", "--version"]):
        shown = subprocess.run([binary(), *arguments], capture_output=True, text=True, check=True).stdout
        assert shown.startswith("etcd Version: 3.") and "Quorate Version: " in shown
