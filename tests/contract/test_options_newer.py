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


def create(havre: HavreDaemon, command: list[str], **options: object) -> None:
    """A container named box, by the API itself: older CLIs cannot say these options."""
    body = {"Image": "busybox", "Cmd": command, **options}
    assert asked(havre.socket, "POST", "/v1.44/containers/create?name=box", body).status == 201


def test_read_only_all_the_way_down(havre: HavreDaemon, shared_tree: Path) -> None:
    """Since 25.0: dockerd 20.10 leaves what is mounted below a read-only bind writable."""
    bind = {"Type": "bind", "Source": str(shared_tree), "ReadOnly": True}
    mounts = [
        bind | {"Target": "/usual"},
        bind | {"Target": "/top", "BindOptions": {"ReadOnlyNonRecursive": True}},
        bind | {"Target": "/forced", "BindOptions": {"ReadOnlyForceRecursive": True, "Propagation": "rprivate"}},
    ]
    script = "for place in volume usual top forced; do touch /$place/below/$place 2>/dev/null; done"
    create(havre, ["sh", "-c", script], HostConfig={"Binds": [f"{shared_tree}:/volume:ro"], "Mounts": mounts})
    havre.docker("start", "-a", "box", check=False)
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
    hour, tenth = 3600 * 10**9, 10**8
    times = {"Interval": hour, "StartPeriod": hour, "StartInterval": tenth}
    create(havre, ["sleep", "1000"], Healthcheck={"Test": ["CMD-SHELL", "test -f /well"], **times})
    havre.docker("start", "box")
    havre.docker("exec", "box", "touch", "/well")
    wait_until(lambda: "(healthy)" in havre.docker("ps").stdout)


def test_a_terminal_begins_with_the_size_that_was_asked_for(havre: HavreDaemon) -> None:
    """Since 23.0 in dockerd."""
    create(havre, ["stty", "size"], Tty=True, HostConfig={"ConsoleSize": [33, 101]})
    assert havre.docker("start", "-a", "box").stdout.split() == ["33", "101"]


def test_notes_reach_the_runtime(havre: HavreDaemon) -> None:
    """Since 24.0 in dockerd; nothing in a container shows them."""
    create(havre, ["true"], HostConfig={"Annotations": {"org.example": "x"}})
    havre.docker("start", "box")
    made = havre.docker("inspect", "-f={{.Id}}", "box").stdout.strip()
    bundle = havre.directory / "root/containers" / made / "config.json"
    assert json.loads(bundle.read_text())["annotations"]["org.example"] == "x"
