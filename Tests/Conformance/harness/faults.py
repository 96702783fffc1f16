"""What goes wrong around one member: its disk and its clock, by a library that is loaded before the system's."""

import pathlib
import subprocess

import pytest

SOURCE = pathlib.Path(__file__).parent / "faulty_system.c"


def library(folder):
    """Compiles the library; skips the test where there is no compiler."""
    made = pathlib.Path(folder) / "faulty_system.so"
    if not made.exists():
        try:
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", made, SOURCE, "-ldl"], check=True, timeout=60)
        except FileNotFoundError:
            pytest.skip("there is no C compiler")
    return made


class Faults:
    """Of one member; see faulty_system.c. Set before the member is started."""

    def __init__(self, member, library):
        self.folder = member.folder / "faults"
        self.folder.mkdir(exist_ok=True)
        member.environment = member.environment | {"LD_PRELOAD": str(library), "FAULTS": str(self.folder)}

    def begin(self, name, content=""):
        # Never half written.
        fresh = self.folder / "fresh"
        fresh.write_text(str(content))
        fresh.rename(self.folder / name)

    def content(self, name):
        """Of what the library notes; None when there is no such file."""
        file = self.folder / name
        return file.read_text() if file.exists() else None

    def end(self):
        for file in self.folder.iterdir():
            file.unlink(missing_ok=True)
