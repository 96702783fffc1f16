"""The real etcd releases to test against, as found in ETCD_REFERENCE_DIR/VERSION/{etcd,etcdctl,etcdutl}."""

import os
import pathlib
from dataclasses import dataclass

#: Of the releases that the binary under test is compared with, and behaves as where a test does not say otherwise.
line = "3.5"

ROOT = pathlib.Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Release:
    version: str
    folder: pathlib.Path

    @property
    def number(self):
        """For ordering: (3, 5, 30)."""
        return tuple(int(part) for part in self.version.split("."))

    @property
    def etcd(self):
        return self.folder / "etcd"

    @property
    def etcdctl(self):
        return self.folder / "etcdctl"

    @property
    def etcdutl(self):
        """Since 3.5; before, etcdctl did its work."""
        return self.folder / "etcdutl"


def available():
    """All releases found, oldest first."""
    folder = pathlib.Path(os.environ.get("ETCD_REFERENCE_DIR") or ROOT / ".build" / "reference")
    found = []
    if folder.is_dir():
        for entry in folder.iterdir():
            if (entry / "etcd").is_file() and entry.name.replace(".", "").isdigit():
                found.append(Release(entry.name, entry))
    return sorted(found, key=lambda release: release.number)


def newest(line):
    """The newest release of a line such as "3.5", or None."""
    matching = [release for release in available() if release.version.startswith(line + ".")]
    return matching[-1] if matching else None


def exact(version):
    return next((release for release in available() if release.version == version), None)
