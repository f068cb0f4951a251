"""How the web side's user gets into a clone that is closed to it, and sees no more of it than it needs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from bringup.reach import become, reachable_by_all

from tests.conftest import needs_root


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in a directory that only root may enter."""
    needs_root()
    place = tmp_path / "private/clone"
    (place / "webui").mkdir(parents=True)
    (place / "webui/code.py").write_text("code")
    (place / "manage.py").write_text("manage")
    (tmp_path / "private/diary").write_text("secret")
    (tmp_path / "private").chmod(0o700)
    return place


def run(clone: Path, *command: str, needed: list[Path] | None = None) -> subprocess.CompletedProcess[str]:
    needed = needed if needed is not None else [clone / "webui", clone / "manage.py"]
    prepare = become("nobody", "nogroup", needed)
    return subprocess.run(command, preexec_fn=prepare, capture_output=True, text=True, cwd=clone)


def test_what_is_needed_is_there_at_its_own_path(clone: Path) -> None:
    assert not reachable_by_all(clone / "manage.py")
    result = run(clone, "cat", str(clone / "manage.py"), str(clone / "webui/code.py"), "webui/code.py")
    assert (result.stdout, result.stderr) == ("managecodecode", "")


def test_the_rest_is_not(clone: Path) -> None:
    assert run(clone, "ls", str(clone.parent / "diary")).returncode != 0
    assert run(clone, "touch", str(clone / "webui/new.py")).returncode != 0


def mounts_around(place: Path) -> list[Path]:
    """The mount points of this host on the way to *place* and below it; elsewhere, others may be at work."""
    points = (Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [point for point in points if place.is_relative_to(point) or point.is_relative_to(place)]


def test_the_host_sees_no_change(clone: Path) -> None:
    before = mounts_around(clone)
    run(clone, "true")
    assert mounts_around(clone) == before
    assert clone.parent.stat().st_mode & 0o777 == 0o700
    assert (clone.parent / "diary").read_text() == "secret"


def test_every_right_is_gone(clone: Path) -> None:
    status = run(clone, "cat", "/proc/self/status").stdout
    uids = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
    capabilities = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    assert set(uids) == {"65534"}
    assert int(capabilities, 16) == 0
    assert os.geteuid() == 0


def test_without_the_way_it_is_closed(clone: Path) -> None:
    assert run(clone, "cat", str(clone / "manage.py"), needed=[]).returncode != 0
