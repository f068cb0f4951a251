"""Options of a container's creation that dockerd 20.10 does not have yet: as its later versions have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.asking import asked
from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.processes import wait_until


@pytest.fixture(autouse=True)
def clean(havre: HavreDaemon) -> Iterator[None]:
    havre.docker("pull", "-q", "busybox")
    yield
    havre.remove_everything()


def test_read_only_all_the_way_down(havre: HavreDaemon, shared_tree: Path) -> None:
    """Since 25.0: dockerd 20.10 leaves what is mounted below a read-only bind writable."""
    bind = f"type=bind,src={shared_tree},readonly"
    mounts = (
        f"--volume={shared_tree}:/volume:ro",
        f"--mount={bind},dst=/usual",
        f"--mount={bind},dst=/top,bind-recursive=writable",
        f"--mount={bind},dst=/forced,bind-recursive=readonly,bind-propagation=rprivate",
    )
    script = "for place in volume usual top forced; do touch /$place/below/$place 2>/dev/null; done"
    havre.docker("run", "--rm", *mounts, "busybox", "sh", "-c", script, check=False)
    assert [path.name for path in (shared_tree / "below").iterdir()] == ["top"]


def test_a_part_of_a_volume(havre: HavreDaemon) -> None:
    """Since 26.0 in dockerd."""
    havre.docker(
        "run", "--rm", "-v", "whole:/v", "busybox", "sh", "-c", "mkdir -p /v/a/b; echo in > /v/a/b/f; ln -s / /v/out"
    )
    try:
        for subpath, seen in (("a/b", "in"), ("a/b/f", "in"), ("../..", ""), ("out/etc", ""), ("nosuch", "")):
            mount = {"Type": "volume", "Source": "whole", "Target": "/p", "VolumeOptions": {"Subpath": subpath}}
            body = {"Image": "busybox", "Cmd": ["cat", "/p/f" if subpath == "a/b" else "/p"]}
            made = asked(
                havre.socket, "POST", "/v1.44/containers/create?name=part", body | {"HostConfig": {"Mounts": [mount]}}
            )
            if made.status == 201:
                shown = havre.docker("start", "-a", "part", check=False)
                assert (shown.stdout.strip(), shown.returncode == 0) == (seen, bool(seen)), subpath
                havre.docker("rm", "part")
            else:
                assert (made.status, seen) == (400, ""), subpath
    finally:
        havre.docker("volume", "rm", "whole")


def test_checks_are_closer_together_while_it_starts(havre: HavreDaemon) -> None:
    """Since 25.0 in dockerd."""
    times = ("--health-interval=1h", "--health-start-period=1h", "--health-start-interval=100ms")
    havre.docker("run", "-d", "--name=box", "--health-cmd=test -f /well", *times, "busybox", "sleep", "1000")
    havre.docker("exec", "box", "touch", "/well")
    wait_until(lambda: "(healthy)" in havre.docker("ps").stdout)


def test_a_terminal_begins_with_the_size_that_was_asked_for(havre: HavreDaemon) -> None:
    """Since 23.0 in dockerd."""
    body = {"Image": "busybox", "Cmd": ["stty", "size"], "Tty": True, "HostConfig": {"ConsoleSize": [33, 101]}}
    assert asked(havre.socket, "POST", "/v1.44/containers/create?name=box", body).status == 201
    assert havre.docker("start", "-a", "box").stdout.split() == ["33", "101"]


def test_notes_reach_the_runtime(havre: HavreDaemon) -> None:
    """Since 24.0 in dockerd; nothing in a container shows them."""
    made = havre.docker("create", "--annotation=org.example=x", "busybox", "true").stdout.strip()
    havre.docker("start", made)
    bundle = havre.directory / "root/containers" / made / "config.json"
    assert json.loads(bundle.read_text())["annotations"]["org.example"] == "x"
