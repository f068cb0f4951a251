"""The daemon is killed at any instant of mixed work; whatever it was doing, the next one puts everything right."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.kernel import cgroup
from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.processes import wait_until

KILLS = int(os.environ.get("HAVRE_TEST_KILLS", "15"))
"""How often the daemon is killed; each takes about a second and a half."""
WORKERS = 3


@pytest.mark.timeout(120 + 15 * KILLS)
def test_killed_at_any_instant(havre: HavreDaemon) -> None:
    havre.docker("pull", "-q", "busybox")
    steady = havre.docker("run", "-d", "--name=steady", "busybox", "sleep", "1000").stdout.strip()
    pid = havre.docker("inspect", "--format={{.State.Pid}}", steady).stdout
    havre.docker("network", "create", "shared")
    havre.docker("network", "connect", "shared", "steady")
    dice = random.Random(20)
    for _ in range(KILLS):
        ended = threading.Event()
        with ThreadPoolExecutor(WORKERS) as pool:
            for number in range(WORKERS):
                pool.submit(_work, havre, number, ended)
            try:
                time.sleep(dice.uniform(0.02, 0.7))
                havre.kill()
            finally:
                ended.set()
        havre.start()
        assert havre.docker("inspect", "--format={{.State.Pid}}", steady).stdout == pid
        _agrees(havre)
    address = havre.docker("inspect", "--format={{.NetworkSettings.Networks.shared.IPAddress}}", "steady").stdout
    assert address in havre.docker("exec", "steady", "nslookup", "-type=a", "steady").stdout
    havre.remove_everything()
    havre.docker("network", "prune", "-f")
    havre.docker("rmi", "-f", *(f"made{number}" for number in range(WORKERS)), check=False)
    if names := havre.docker("volume", "ls", "-q").stdout.split():
        havre.docker("volume", "rm", *names)
    assert _names(havre.directory / "root/volumes") == set()
    wait_until(lambda: not _on_host(havre), what="everything to go")
    assert _directories(havre) == set()


_VOLUMES = ("-v", "/own", "-v", "shared:/shared", "--tmpfs=/t", "--ipc=shareable")


def _work(havre: HavreDaemon, number: int, ended: threading.Event) -> None:
    """Create, start, exec, stop and remove, whatever the answers: the daemon may be gone at any of them."""
    name = f"worker{number}"
    calls = (
        ("run", "-d", f"--name={name}", "-p", f"{9000 + number}:80", *_VOLUMES, "busybox", "sleep", "1000"),
        ("exec", name, "true"),
        ("cp", "/etc/hostname", f"{name}:/own/copied"),
        ("pause", name),
        ("commit", name, f"made{number}"),
        ("unpause", name),
        ("update", "--pids-limit=100", name),
        ("stop", "-t0", name),
        ("start", name),
        ("rm", "-f", "-v", name),
        ("run", "--rm", "busybox", "true"),
        ("network", "create", f"net{number}"),
        (
            "run",
            "-d",
            f"--name={name}",
            f"--network=net{number}",
            "-p",
            f"{9100 + number}:80",
            "busybox",
            "sleep",
            "99",
        ),
        ("network", "connect", "bridge", name),
        ("network", "connect", "shared", name),
        ("network", "disconnect", f"net{number}", name),
        ("rm", "-f", name),
        ("network", "rm", f"net{number}"),
    )
    while not ended.is_set():
        for call in calls:
            if not ended.is_set():
                havre.docker(*call, check=False, timeout=30)


def _agrees(havre: HavreDaemon) -> None:
    """What runs by the daemon's word is what runs on the host, and nothing else is there."""

    def differences() -> list[str]:
        told = {
            line.split()[0]: line.split()[1]
            for line in havre.docker("ps", "-a", "--no-trunc", "--format={{.ID}} {{.State}}").stdout.splitlines()
        }
        running = {identifier for identifier, state in told.items() if state in ("running", "paused")}
        found = _on_host(havre)
        return [
            *(f"{identifier[:12]} runs without {kind}" for kind, ids in found.items() for identifier in running - ids),
            *(f"{kind} of {identifier[:12]} is left" for kind, ids in found.items() for identifier in ids - running),
            *(f"directory {identifier[:12]} is left" for identifier in _directories(havre) - told.keys()),
            *_network_differences(havre),
        ]

    try:
        wait_until(lambda: not differences(), seconds=20)
    except AssertionError:
        assert not differences(), havre.process.tail(4000)


def _network_differences(havre: HavreDaemon) -> list[str]:
    """Bridges, elements of the firewall and links of containers that no network has, and the other way round."""
    ids = set(havre.docker("network", "ls", "-q", "--no-trunc", "--filter=type=custom").stdout.split())
    bridges = {f"br-{identifier[:12]}" for identifier in ids}
    table = havre.namespace.run("nft", "list", "set", "inet", f"havre-{havre.bridge}", "bridges").stdout
    in_firewall = {word.strip('"') for word in table.replace(",", " ").split() if word.startswith('"br-')}
    there = {
        line.split(":")[1].strip().partition("@")[0]
        for line in havre.namespace.run("ip", "-o", "link").stdout.splitlines()
    }
    on_host = {name for name in there if name.startswith("br-")}
    rows = json.loads(havre.docker("network", "inspect", "bridge", *ids).stdout)
    endpoints = {f"veth{each['EndpointID'][:11]}" for row in rows for each in row["Containers"].values()}
    return [
        *(f"{name} has no network" for name in on_host - bridges),
        *(f"{name} is not there" for name in bridges - on_host),
        *(f"{name} is not as in the firewall" for name in in_firewall ^ bridges),
        *(f"{name} is not as in the rows" for name in endpoints ^ havre.links()),
    ]


def _on_host(havre: HavreDaemon) -> dict[str, set[str]]:
    """The ids of containers, by what they have on the host; without the kinds that nobody has."""
    mounts = {
        Path(line.split()[4]).parent.name
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4].startswith(f"{havre.directory}/root/snapshots/")
    }
    listed = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    conmons = {
        word.removeprefix("--cid=")
        for line in listed
        if "conmon" in line.split(" ", 1)[0] and str(havre.directory) in line
        for word in line.split()
        if word.startswith("--cid=")
    }
    found = {
        "a mount": mounts,
        "a monitor": conmons,
        "a runtime's state": _names(havre.directory / "run/runtime"),
        "a monitor's directory": _names(havre.directory / "run/monitors"),
        "a network namespace": _names(havre.directory / "run/netns"),
        "a cgroup": {
            path.name for top in cgroup.tops(f"havre-{havre.bridge}") for path in top.iterdir() if path.is_dir()
        },
    }
    return found if any(found.values()) else {}


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} if directory.is_dir() else set()


def _directories(havre: HavreDaemon) -> set[str]:
    snapshots = {name for name in _names(havre.directory / "root/snapshots") if len(name) == 64}
    return _names(havre.directory / "root/containers") | snapshots
