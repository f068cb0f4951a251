"""The unpacked tree of a Debian image, held against what dockerd makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.test_unpack_fidelity import tree
from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon


def trees(*daemons: Daemon) -> list[dict[bytes, object]]:
    """What each has of Debian's one layer, without the root itself: dockerd leaves it with the time of unpacking."""
    found = []
    for daemon in daemons:
        described = daemon.docker("image", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "debian").stdout
        found.append({name: facts for name, facts in tree(Path(described.strip())).items() if name != b"."})
    return found


def test_debian_is_unpacked_as_by_dockerd(havre: HavreDaemon, dockerd: PeerDaemon) -> None:
    """Modes, owners, sizes, times, links and attributes of every file."""
    for daemon in (havre, dockerd):
        daemon.docker("pull", "-q", "debian")
    ours, theirs = trees(havre, dockerd)
    assert len(ours) > 5000
    assert ours.keys() == theirs.keys()
    assert {name: (facts, theirs[name]) for name, facts in ours.items() if facts != theirs[name]} == {}


@pytest.mark.slow
def test_the_tree_of_what_was_loaded_is_the_same(havre: HavreDaemon, dockerd: PeerDaemon, tmp_path: Path) -> None:
    archive = tmp_path / "debian.tar"
    dockerd.docker("pull", "-q", "debian")
    dockerd.docker("save", "-o", str(archive), "debian")
    havre.docker("rmi", "-f", "debian", check=False)
    havre.docker("load", "-q", "-i", str(archive))
    ours, theirs = trees(havre, dockerd)
    assert ours == theirs
