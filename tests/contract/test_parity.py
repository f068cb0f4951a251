"""Havre and dockerd side by side: the same work, and then the same question to both.

What may differ is listed, each with its reason; everything else must not.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from tests.fixtures.asking import asked
from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon
from tests.fixtures.processes import wait_until


@pytest.fixture(scope="module")
def pair(havre: HavreDaemon, dockerd: PeerDaemon) -> tuple[Daemon, Daemon]:
    for daemon in (havre, dockerd):
        daemon.docker("pull", "-q", "busybox")
    return havre, dockerd


@pytest.fixture
def clean_pair(pair: tuple[Daemon, Daemon]) -> Iterator[tuple[Daemon, Daemon]]:
    yield pair
    for daemon in pair:
        daemon.remove_everything()
        if names := daemon.docker("volume", "ls", "-q").stdout.split():
            daemon.docker("volume", "rm", *names)


# --- inspect


OWN: Final = {
    r"\.(Id|Created|LogPath|HostnamePath|HostsPath|ResolvConfPath)": "of this container alone",
    r"\.State\.(Pid|StartedAt|FinishedAt|Health\.Log.*)": "of this life alone",
    r"\.Config\.Hostname": "the id's first digits",
    r"\.GraphDriver\.Data\..*": "directories of each engine's own",
    r"\.Mounts\[\d+\]\.(Name|Source)": "anonymous volumes have ids, and each engine its directory",
    r"\.NetworkSettings\.Sandbox(ID|Key)": "of this sandbox alone",
    r"\.NetworkSettings\.(Networks\.\w+\.)?(EndpointID|NetworkID|IPAddress|Gateway|MacAddress)": "the bridges differ",
    r"\.NetworkSettings\.Networks\.\w+\.(DNSNames|GwPriority)": "since later versions of the API",
    r"\.NetworkSettings\.Ports\..*\.HostPort": "chosen by each",
    r"\.HostConfig\.KernelMemory(TCP)?": "gone since version 1.42 of the API",
    r"\.HostConfig\.Annotations.*": "since version 1.43 of the API",
    r"\.HostConfig\.MaskedPaths": "the newer, longer list: interrupts and power meters are hidden as well",
    r"\.State\.Error": "the newer words, in which clients find the reason as well",
    r"\.SizeRootFs": "dockerd counts the files that it puts into the container itself",
}
"""What inspect may tell differently."""

_ALL_OPTIONS: Final = (
    *(
        "-p",
        "127.0.0.1:18080:80",
        "-v",
        "/own",
        "--mount",
        "type=tmpfs,target=/t,tmpfs-size=1m",
        "--tmpfs",
        "/u:size=64k",
    ),
    *("-e", "A=b", "-l", "x=y", "--restart=on-failure:3", "--memory=64m", "--cpus=0.5", "--cap-add=NET_ADMIN"),
    *("--cap-drop=CHOWN", "--health-cmd=true", "--health-interval=60s", "--ulimit=nofile=100:200", "--dns=192.0.2.1"),
    *("--dns-search=example.org", "--dns-option=ndots:2", "--add-host=db:192.0.2.2", "--group-add=100"),
    *("--device=/dev/null:/dev/xx:rw", "--security-opt=no-new-privileges", "--sysctl=net.core.somaxconn=10"),
    *("--shm-size=32m", "--stop-timeout=3", "--stop-signal=INT", "--init", "--read-only", "--pids-limit=50"),
    *("-w", "/tmp", "-u", "1:1", "--hostname=hh", "--domainname=dd", "--ipc=shareable", "--log-opt=max-size=1m"),
)
_ALL_LIMITS: Final = (
    *("--cpuset-cpus=0", "--cpu-shares=512", "--cpu-period=50000", "--cpu-quota=20000", "--memory-reservation=20m"),
    *("--memory=50m", "--memory-swap=-1", "--memory-swappiness=5", "--oom-score-adj=100", "--oom-kill-disable"),
    *("--blkio-weight=100", "--device-cgroup-rule=c 1:3 rwm", "--runtime=runc", "--userns=host"),
    *("--security-opt=seccomp=unconfined", "--security-opt=label=disable", "--log-driver=none", "--no-healthcheck"),
    *("--cgroup-parent=/parity", "--isolation=default", "--cgroupns=host"),
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "busybox", "true"),
        ("run", "busybox", "sh", "-c", "exit 3"),
        ("run", "-dti", "--network=none", "busybox"),
        ("run", "-d", "--network=host", "--pid=host", "--uts=host", "--ipc=host", "busybox", "sleep", "100"),
        ("create", "--privileged", "busybox"),
        ("run", "-d", "--rm", "-P", "--expose=80-82", "--entrypoint=sleep", "busybox", "100"),
        ("run", "busybox", "nosuch"),
        ("run", "-u", "nosuch", "busybox", "true"),
        ("run", "-d", *_ALL_OPTIONS, "busybox", "sleep", "100"),
        ("create", *_ALL_LIMITS, "busybox", "a b", "c"),
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_inspect(clean_pair: tuple[Daemon, Daemon], arguments: tuple[str, ...]) -> None:
    verb, *rest = arguments
    found = []
    for daemon in clean_pair:
        done = daemon.docker(verb, "--name=same", *rest, check=False)
        told = json.loads(daemon.docker("inspect", "--size", "same").stdout)[0]
        told["Mounts"].sort(key=lambda mount: mount["Destination"])  # dockerd has no order of its own
        found.append((done.returncode, flat(told)))
    (code, ours), (peers_code, peers) = found
    assert code == peers_code
    assert differences(ours, peers, OWN) == {}


def test_inspect_of_what_says_nothing(clean_pair: tuple[Daemon, Daemon]) -> None:
    """As a program makes it that leaves out what it does not care about."""
    found = []
    for daemon in clean_pair:
        body = {"Image": "busybox", "Cmd": ["true"]}
        assert asked(daemon.socket, "POST", "/v1.41/containers/create?name=same", body).status == 201
        found.append(flat(json.loads(daemon.docker("inspect", "--size", "same").stdout)[0]))
    own = {
        r"\.HostConfig\.RestartPolicy\.Name": "an empty name is shown as what it means",
        r"\.HostConfig\.Runtime": "the default one is shown from the beginning, not from the first start",
    }
    assert differences(*found, OWN | own) == {}


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Everything in *value* by where it stands; lists of plain values as they are."""
    if isinstance(value, dict) and value:
        return {key: found for name, entry in value.items() for key, found in flat(entry, f"{path}.{name}").items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {
            key: found for number, entry in enumerate(value) for key, found in flat(entry, f"{path}[{number}]").items()
        }
    return {path: value}


def differences(ours: dict[str, Any], peers: dict[str, Any], allowed: dict[str, str]) -> dict[str, tuple[Any, Any]]:
    own = re.compile("|".join(f"({pattern})" for pattern in allowed))
    missing = "nothing at all"
    return {
        path: (ours.get(path, missing), peers.get(path, missing))
        for path in sorted(ours.keys() | peers.keys())
        if not own.fullmatch(path) and ours.get(path, missing) != peers.get(path, missing)
    }


# --- info and version


INFO: Final = {
    r"\.(ID|DockerRootDir|SystemTime|NFd|NGoroutines|NEventsListener|Images|Containers\w*)": "of each engine alone",
    r"\.DriverStatus": "dockerd tells of userxattr, which Havre never uses",
    r"\.(ServerVersion|ContainerdCommit\.\w+|RuncCommit\.\w+|InitCommit\.\w+)": "other programs",
    r"\.BridgeNfIp6?tables": "dockerd's firewall needs br_netfilter, Havre's does not",
    r"\.KernelMemory(TCP)?": "gone since version 1.42 of the API",
    r"\.LiveRestoreEnabled": "Havre's containers always outlive the daemon",
    r"\.Plugins\.(Log|Network)": "drivers of each",
    r"\.Registry\S+Mirrors": "with and without a slash at the end",
    r"\.Runtimes\.io\.containerd\.runtime\.v1\.linux\.path": "containerd's old one",
    r"\.SecurityOptions": "the built-in profile is called so since 23.0",
    r"\.(Warnings|DefaultAddressPools.*)": "of each engine alone",
}


def test_info(pair: tuple[Daemon, Daemon]) -> None:
    ours, peers = (flat(_ask(daemon, "/v1.41/info")) for daemon in pair)
    assert differences(ours, peers, INFO) == {}


def test_version(pair: tuple[Daemon, Daemon]) -> None:
    ours, peers = (_ask(daemon, "/v1.41/version") for daemon in pair)
    assert ours.keys() == peers.keys()
    assert [sorted(part) for part in ours["Components"][:1]] == [sorted(part) for part in peers["Components"][:1]]
    assert {name: ours[name] for name in ("Os", "Arch", "KernelVersion")} == {
        name: peers[name] for name in ("Os", "Arch", "KernelVersion")
    }


def _ask(daemon: Daemon, path: str) -> Any:
    done = daemon.namespace.run("curl", "-s", "--unix-socket", str(daemon.socket), f"http://engine{path}")
    return json.loads(done.stdout)


# --- events


WORK: Final = (
    ("volume", "create", "kept"),
    ("create", "--name=one", "-v", "kept:/kept", "-v", "/own", "-l", "a=b", "busybox", "sleep", "1000"),
    ("start", "one"),
    ("exec", "one", "true"),
    ("exec", "one", "sh", "-c", "exit 3"),
    ("exec", "one", "nosuch"),
    ("pause", "one"),
    ("unpause", "one"),
    ("rename", "one", "two"),
    ("update", "--memory=64m", "--memory-swap=64m", "two"),
    ("kill", "-s", "USR1", "two"),
    ("top", "two"),
    ("restart", "-t", "0", "two"),
    ("stop", "-t", "0", "two"),
    ("start", "two"),
    ("kill", "two"),
    ("until", "two", "exited"),
    ("cp", "/etc/hostname", "two:/tmp/x"),
    ("cp", "/etc/hostname", "two:/tmp/x"),
    ("cp", "two:/tmp/x", "-"),
    ("export", "-o", "/dev/null", "two"),
    ("commit", "two", "made:1"),
    ("diff", "two"),
    ("logs", "two"),
    ("wait", "two"),
    ("rm", "-v", "two"),
    ("run", "--rm", "--name=three", "--network=none", "busybox", "true"),
    ("run", "--name=three", "busybox", "nosuch"),
    ("rm", "three"),
    ("run", "-d", "--name=four", "--restart=on-failure:2", "busybox", "false"),
    ("until", "four", "exited"),
    ("rm", "-f", "four"),
    ("run", "--name=five", "--memory=8m", "--memory-swap=8m", "busybox", "tail", "/dev/zero"),
    ("rm", "five"),
    ("run", "-d", "--name=six", "-ti", "busybox", "sh"),
    ("rm", "-f", "six"),
    ("tag", "busybox", "busybox:two"),
    ("rmi", "busybox:two"),
    ("rmi", "made:1"),
    ("create", "--name=seven", "busybox"),
    ("container", "prune", "-f"),
    ("volume", "rm", "kept"),
)

_NEWER: Final = {"execDuration", "path"}
"""Attributes that dockerd tells since 23.0."""


def test_events_of_the_same_work(clean_pair: tuple[Daemon, Daemon]) -> None:
    """By kind: in which order a volume is mounted and a network joined is each engine's own business."""
    with ThreadPoolExecutor(2) as pool:
        ours, peers = pool.map(_worked, clean_pair)
    assert ours["container"] == peers["container"]
    assert ours["image"] == peers["image"]
    # dockerd mounts a container's volumes for each copy, too, which Havre reaches without.
    assert _distinct(ours["volume"]) == _distinct(peers["volume"])


def _worked(daemon: Daemon) -> dict[str, list[tuple[str, str, tuple[tuple[str, str], ...]]]]:
    time.sleep(0.1)  # what was pulled a moment ago is not of this work
    began = time.time()
    for verb, *rest in WORK:
        if verb == "until":
            _reaches(daemon, *rest)
        else:
            daemon.docker(verb, *rest, check=False)
    until = f"{time.time() + 0.5:.3f}"
    lines = daemon.docker(
        "events", "--since", f"{began:.3f}", "--until", until, "--format={{json .}}"
    ).stdout.splitlines()
    numbers: dict[str, str] = {}

    def number(text: str) -> str:
        return re.sub(r"(sha256:)?[0-9a-f]{64}", lambda found: numbers.setdefault(found[0], f"#{len(numbers)}"), text)

    told: dict[str, list[tuple[str, str, tuple[tuple[str, str], ...]]]] = {}
    for line in lines:
        event = json.loads(line)
        attributes = {name: value for name, value in event["Actor"]["Attributes"].items() if name not in _NEWER}
        if event["Type"] == "image":
            attributes.pop("a", None)  # the labels of an image that is about to go
        shown = tuple(sorted((name, number(value)) for name, value in attributes.items() if name != "execID"))
        line_told = (event["Action"], number(event["Actor"]["ID"]), shown)
        before = told.setdefault(event["Type"], [])
        # dockerd tells of a want of memory as often as the kernel notes it, which is once or twice.
        if not (event["Action"] == "oom" and before[-1:] == [line_told]):
            before.append(line_told)
    return told


def _reaches(daemon: Daemon, name: str, status: str) -> None:
    wait_until(lambda: daemon.docker("inspect", "--format={{.State.Status}}", name).stdout.strip() == status)


def _distinct(events: list[Any]) -> list[tuple[str, list[str]]]:
    return sorted({(action, tuple(name for name, _ in attributes)) for action, _, attributes in events})


# --- the list


FILTERS: Final = (
    *("status=exited", "status=running", "status=created", "status=nosuch", "exited=3", "exited=0", "exited=x"),
    *("name=p", "name=^p1$", "name=^/p1$", "name=p[12]", "id=x", "label=a", "label=a=b", "label=a=c", "label=b"),
    *("before=p2", "since=p1", "before=nosuch", "ancestor=busybox", "ancestor=busybox:latest", "ancestor=nosuch"),
    *("volume=dfv", "volume=/v", "volume=/", "network=bridge", "network=nosuch", "publish=18081", "publish=18081/udp"),
    *("publish=80", "publish=18000-18100", "publish=x", "publish=1-70000", "expose=90", "expose=90/tcp", "expose=91"),
    *("health=none", "health=healthy", "health=bad", "is-task=false", "is-task=true", "nosuch=1"),
)


@pytest.fixture(scope="module")
def listed(pair: tuple[Daemon, Daemon]) -> Iterator[tuple[Daemon, Daemon]]:
    for daemon in pair:
        daemon.docker("volume", "create", "dfv")
        options = ("-p", "18081:80", "--expose=90", "-v", "dfv:/v", "-l", "a=b")
        daemon.docker(
            "run", "-d", "--name=p1", *options, "busybox", "sh", "-c", "head -c 99999 /dev/zero > /big; sleep 99"
        )
        daemon.docker("run", "--name=p2", "busybox", "sh", "-c", "exit 3", check=False)
        daemon.docker("create", "--name=p3", "busybox", "true", "a b", "c'd", 'e"f')
    yield pair
    for daemon in pair:
        daemon.remove_everything()
        daemon.docker("volume", "rm", "dfv")


def test_ps_with_every_filter(listed: tuple[Daemon, Daemon]) -> None:
    shown = "{{.Names}}|{{.Command}}|{{.State}}|{{.Labels}}|{{.Mounts}}|{{.Networks}}|{{.Image}}"

    def ask(daemon: Daemon, *arguments: str) -> tuple[int, str]:
        done = daemon.docker("ps", "--no-trunc", f"--format={shown}", *arguments, check=False)
        return done.returncode, done.stdout

    questions = [(*more, f"--filter={each}") for each in FILTERS for more in ((), ("-a",))]
    questions += [(), ("-a",), ("-n", "2"), ("-l",), ("-a", "--filter=label=a", "--filter=status=running")]
    with ThreadPoolExecutor(4) as pool:
        ours, peers = (
            dict(zip(questions, pool.map(lambda question, to=daemon: ask(to, *question), questions), strict=True))
            for daemon in listed
        )
    assert ours == peers


def test_sizes(listed: tuple[Daemon, Daemon]) -> None:
    ours, peers = (daemon.docker("ps", "-as", "--format={{.Names}} {{.Size}}").stdout for daemon in listed)
    assert re.sub(r"virtual [\d.]+MB", "virtual", ours) == re.sub(r"virtual [\d.]+MB", "virtual", peers)


def test_disk_usage(listed: tuple[Daemon, Daemon]) -> None:
    ours, peers = (daemon.docker("system", "df", "-v").stdout for daemon in listed)
    columns = (
        r"(?m)^[0-9a-f]{12}|[\d.]+MB|\d+ seconds? ago|Up .*? +|\(3\) .*? ago|About a minute( ago)?|Less than a second"
    )
    assert re.sub(r" +", " ", re.sub(columns, "", ours)) == re.sub(r" +", " ", re.sub(columns, "", peers))
