"""What goes wrong with containers, in which words and with which status: Havre and dockerd side by side.

dockerd's words must be in ours, without regard to capitals and quotes; ids of containers are one and the same. Ours may
say more. What differs on purpose is listed by its reason, and must differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import pytest

from tests.fixtures.asking import asked
from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon


class Said(NamedTuple):
    status: int
    words: str
    warnings: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def pair(havre: HavreDaemon, dockerd: PeerDaemon) -> tuple[Daemon, Daemon]:
    """Both, each with the same containers."""
    for daemon in (havre, dockerd):
        daemon.docker("pull", "-q", "busybox")
        daemon.docker("run", "--name=ended", "busybox", "sh", "-c", "exit 3", check=False)
        daemon.docker("create", "--name=made", "busybox", "true")
        daemon.docker("run", "-d", "--name=going", "busybox", "sleep", "1000")
        daemon.docker("run", "-d", "--name=still", "--network=none", "busybox", "sleep", "1000")
        daemon.docker("pause", "still")
        daemon.docker("run", "-d", "--rm", "--name=brief", "--network=none", "busybox", "sleep", "1000")
    return havre, dockerd


Request = tuple[str, str] | tuple[str, str, object] | tuple[str, str, object, dict[str, str]]

BODY: Final = {"Image": "busybox"}
MISSING: Final[tuple[Request, ...]] = (
    *(("GET", f"/containers/nosuch/{verb}") for verb in ("json", "top", "logs?stdout=1", "changes", "export")),
    *(("GET", f"/containers/nosuch/{verb}") for verb in ("stats?stream=0", "archive?path=/", "attach/ws")),
    *(("POST", f"/containers/nosuch/{verb}") for verb in ("start", "stop", "restart", "kill", "pause", "unpause")),
    *(("POST", f"/containers/nosuch/{verb}") for verb in ("rename?name=other", "wait", "resize?h=1&w=1", "attach")),
    ("HEAD", "/containers/nosuch/archive?path=/"),
    ("PUT", "/containers/nosuch/archive?path=/", b""),
    ("POST", "/containers/nosuch/update", {}),
    ("POST", "/containers/nosuch/exec", {"Cmd": ["true"]}),
    ("DELETE", "/containers/nosuch"),
    ("DELETE", "/containers/nosuch?force=1&v=1"),
    ("POST", "/commit?container=nosuch", {}),
    ("GET", "/exec/nosuch/json"),
    ("POST", "/exec/nosuch/start", {}),
    ("POST", "/exec/nosuch/resize?h=1&w=1"),
)
STATES: Final[tuple[Request, ...]] = (
    ("POST", "/containers/create?name=going", BODY),
    ("POST", "/containers/create?name=/going", BODY),
    ("POST", "/containers/going/start"),
    ("POST", "/containers/still/start"),
    ("POST", "/containers/ended/stop"),
    ("POST", "/containers/made/stop"),
    ("POST", "/containers/ended/kill"),
    ("POST", "/containers/made/kill?signal=USR1"),
    ("POST", "/containers/ended/pause"),
    ("POST", "/containers/made/pause"),
    ("POST", "/containers/still/pause"),
    ("POST", "/containers/going/unpause"),
    ("POST", "/containers/ended/unpause"),
    ("POST", "/containers/ended/exec", {"Cmd": ["true"]}),
    ("POST", "/containers/still/exec", {"Cmd": ["true"]}),
    ("POST", "/containers/still/attach?stream=1&stdout=1"),
    ("GET", "/containers/ended/top"),
    ("GET", "/containers/made/top"),
    ("POST", "/containers/ended/resize?h=1&w=1"),
    ("POST", "/containers/made/resize?h=1&w=1"),
    ("DELETE", "/containers/going"),
    ("DELETE", "/containers/still"),
    ("DELETE", "/containers/going?link=1"),
    ("DELETE", "/containers/going/x?link=1"),
    ("POST", "/containers/going/update", {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 2}}),
    ("POST", "/containers/brief/update", {"RestartPolicy": {"Name": "always"}}),
    ("POST", "/containers/create", {**BODY, "HostConfig": {"AutoRemove": True, "RestartPolicy": {"Name": "always"}}}),
)
MISUSE: Final[tuple[Request, ...]] = (
    ("POST", "/containers/going/rename?name=going"),
    ("POST", "/containers/going/rename?name=ended"),
    ("POST", "/containers/going/rename?name=a"),
    ("POST", "/containers/going/rename?name=b/c"),
    ("POST", "/containers/going/rename?name="),
    ("POST", "/containers/going/rename"),
    ("POST", "/containers/create?name=a", BODY),
    ("POST", "/containers/create?name=-ab", BODY),
    ("POST", "/containers/create?name=a%20b", BODY),
    ("POST", "/containers/create?name=/", BODY),
    ("POST", "/containers/create", {"Image": "nosuch:tag"}),
    ("POST", "/containers/create", {"Image": ""}),
    ("POST", "/containers/create", {}),
    ("POST", "/containers/create", b"{"),
    ("POST", "/containers/create", b"nothing"),
    ("POST", "/containers/create", b""),
    ("POST", "/containers/create", b"[]"),
    ("POST", "/containers/create", b"null"),
    ("POST", "/containers/create", BODY, {"Content-Type": "text/plain"}),
    ("POST", "/containers/create", BODY, {"Content-Type": ""}),
    ("POST", "/containers/create", BODY, {"Content-Type": "application/json; charset=utf-8"}),
    ("POST", "/containers/going/exec", {}),
    ("POST", "/containers/going/exec", b"{"),
    ("POST", "/containers/going/exec", {"Cmd": ["true"]}, {"Content-Type": "text/plain"}),
    ("POST", "/containers/going/update", b"{"),
    ("POST", "/containers/going/kill?signal=nosuch"),
    ("POST", "/containers/going/kill?signal=0"),
    ("POST", "/containers/going/kill?signal=-1"),
    ("POST", "/containers/going/kill?signal=99"),
    ("POST", "/containers/ended/kill?signal=nosuch"),
    ("POST", "/containers/going/stop?t=x"),
    ("POST", "/containers/ended/restart?t=x"),
    ("POST", "/containers/going/resize?h=x&w=1"),
    ("POST", "/containers/going/resize?h=-1&w=1"),
    ("POST", "/containers/going/resize?w=1"),
    ("POST", "/containers/going/resize"),
    ("GET", "/containers/going/top?ps_args=nosuch"),
    ("GET", "/containers/going/logs"),
    ("GET", "/containers/going/logs?stdout=1&since=x"),
    ("GET", "/containers/going/logs?stdout=1&tail=x"),
    ("GET", "/containers/going/archive?path=/nosuch"),
    ("GET", "/containers/going/archive?path=/etc/passwd/x"),
    ("GET", "/containers/going/archive"),
    ("GET", "/containers/going/archive?path="),
    ("HEAD", "/containers/going/archive?path=/nosuch"),
    ("PUT", "/containers/going/archive?path=/nosuch", b""),
    ("PUT", "/containers/going/archive?path=/etc/passwd", b""),
    ("PUT", "/containers/going/archive?path=/tmp", b"no archive at all"),
    ("PUT", "/containers/going/archive?path=/proc/nosuch", b""),
    ("POST", "/commit", {}),
    ("POST", "/commit?container=ended&repo=UPPER", {}),
    ("POST", "/commit?container=ended&tag=x", {}),
    ("POST", "/commit?container=ended&changes=NOSUCH", {}),
    ("POST", "/commit?container=ended&changes=RUN%20true", {}),
    ("GET", "/containers/json?limit=x"),
    ("GET", "/containers/json?filters=x"),
    ("GET", "/containers/json?filters=[]"),
    *(
        ("GET", f"/containers/json?filters={quote(json.dumps(filters))}")
        for filters in (
            {"nosuch": ["x"]},
            {"status": ["nosuch"]},
            {"exited": ["x"]},
            {"before": ["nosuch"]},
            {"since": ["nosuch"]},
            {"health": ["nosuch"]},
            {"publish": ["x"]},
            {"expose": ["99999"]},
            {"is-task": ["x"]},
            {"name": ["("]},
            {"label": "x"},
            {"label": 3},
        )
    ),
    ("POST", f"/containers/prune?filters={quote(json.dumps({'nosuch': ['x']}))}"),
    ("POST", f"/containers/prune?filters={quote(json.dumps({'until': ['x']}))}"),
    ("GET", "/events?since=x"),
    ("GET", "/events?since=2&until=1"),
    ("POST", "/containers/made/start", {"Binds": ["/x:/y"]}),
    ("POST", "/containers/create?platform=nosuch", BODY),
    ("GET", f"/events?until=1&filters={quote(json.dumps({'nosuch': ['x']}))}"),
    ("POST", "/containers/going/nosuch"),
    ("GET", "/nosuch"),
    ("PUT", "/containers/json"),
    ("DELETE", "/containers/json"),
)


def _listed(filters: object) -> str:
    """The question for the list with these filters, by its name."""
    return f"GET /containers/json?filters={quote(json.dumps(filters))}"


CREATE: Final[tuple[dict[str, object], ...]] = (
    {"Cmd": ["true"], "WorkingDir": "relative"},
    {"Env": ["=x"]},
    {"Env": [""]},
    {"Hostname": "x" * 70},
    {"StopSignal": "NOSUCH"},
    {"StopTimeout": -1},
    {"ExposedPorts": {"x": {}}},
    {"ExposedPorts": {"80/nosuch": {}}},
    {"Volumes": {"relative": {}}},
    {"Volumes": {"/": {}}},
    {"MacAddress": "nosuch"},
    {"Healthcheck": {"Test": ["NOSUCH"]}},
    {"Healthcheck": {"Test": ["CMD"], "Interval": 1000}},
    {"Healthcheck": {"Test": ["CMD"], "Timeout": -1}},
    {"Healthcheck": {"Test": ["CMD"], "Retries": -1}},
)
HOST: Final[tuple[dict[str, object], ...]] = (
    {"NetworkMode": "nosuch"},
    {"NetworkMode": "container:nosuch"},
    {"NetworkMode": "container:"},
    {"NetworkMode": "host", "PortBindings": {"80/tcp": [{"HostPort": "80"}]}},
    {"PidMode": "nosuch"},
    {"PidMode": "container:nosuch"},
    {"PidMode": "container:"},
    {"IpcMode": "nosuch"},
    {"IpcMode": "container:nosuch"},
    {"UTSMode": "nosuch"},
    {"UsernsMode": "nosuch"},
    {"CgroupnsMode": "nosuch"},
    {"RestartPolicy": {"Name": "nosuch"}},
    {"RestartPolicy": {"Name": "no", "MaximumRetryCount": 1}},
    {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}},
    {"Runtime": "nosuch"},
    {"Isolation": "hyperv"},
    {"LogConfig": {"Type": "nosuch"}},
    {"LogConfig": {"Type": "json-file", "Config": {"nosuch": "x"}}},
    {"LogConfig": {"Type": "json-file", "Config": {"max-size": "x"}}},
    {"LogConfig": {"Type": "json-file", "Config": {"max-file": "0", "max-size": "1m"}}},
    {"LogConfig": {"Type": "json-file", "Config": {"max-file": "3"}}},
    {"LogConfig": {"Type": "none", "Config": {"max-file": "3"}}},
    {"SecurityOpt": ["nosuch"]},
    {"SecurityOpt": ["seccomp=nosuch"]},
    {"SecurityOpt": ["apparmor=nosuch"]},
    {"SecurityOpt": ["no-new-privileges=maybe"]},
    {"CapAdd": ["NOSUCH"]},
    {"CapDrop": ["NOSUCH"]},
    {"Devices": [{"PathOnHost": "/dev/nosuch"}]},
    {"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "x"}]},
    {"DeviceCgroupRules": ["nosuch"]},
    {"DeviceRequests": [{"Driver": "nosuch", "Count": 1}]},
    {"Cgroup": "container:going"},
    {"Cgroup": "nosuch"},
    {"Sysctls": {"kernel.hostname": "x"}},
    {"Sysctls": {"net.core.somaxconn": "5"}, "NetworkMode": "host"},
    {"Ulimits": [{"Name": "nosuch", "Soft": 1, "Hard": 1}]},
    {"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]},
    {"Memory": 1},
    {"Memory": 1 << 24, "MemorySwap": 1},
    {"MemorySwap": 1 << 25},
    {"MemoryReservation": 1},
    {"Memory": 1 << 24, "MemoryReservation": 1 << 25},
    {"MemorySwappiness": 101},
    {"OomKillDisable": True},
    {"OomScoreAdj": 1001},
    {"NanoCpus": 1, "CpuQuota": 1000},
    {"NanoCpus": 10**15},
    {"NanoCpus": -1},
    {"CpuPeriod": 1},
    {"CpuQuota": 1},
    {"CpuShares": 1},
    {"CpuShares": -1},
    {"CpusetCpus": "x"},
    {"CpusetCpus": "999"},
    {"CpusetMems": "x"},
    {"CpusetMems": "99"},
    {"CpuRealtimeRuntime": 950000},
    {"CpuRealtimePeriod": 1000000, "CpuRealtimeRuntime": 2000000},
    {"PidsLimit": -2},
    {"BlkioWeight": 1},
    {"BlkioWeight": 100},
    {"BlkioWeightDevice": [{"Path": "/dev/loop0", "Weight": 100}]},
    {"BlkioWeightDevice": [{"Path": "/dev/nosuch", "Weight": 100}]},
    {"BlkioDeviceReadBps": [{"Path": "/dev/nosuch", "Rate": 1}]},
    {"ShmSize": -1},
    {"KernelMemory": 1 << 25},
    {"CpuCount": 1},
    {"StorageOpt": {"size": "1G"}},
    {"StorageOpt": {"nosuch": "1G"}},
    {"GroupAdd": ["nosuch"]},
    {"Dns": ["nosuch"]},
    {"ExtraHosts": ["nosuch"]},
    {"ExtraHosts": ["a:nosuch"]},
    {"Links": ["nosuch:alias"]},
    {"VolumesFrom": ["nosuch"]},
    {"VolumesFrom": ["going:nosuch"]},
    {"VolumeDriver": "nosuch", "Binds": ["name:/x"]},
    {"Binds": ["/a"]},
    {"Binds": ["a"]},
    {"Binds": ["/a:b"]},
    {"Binds": ["/a:/b:nosuch"]},
    {"Binds": ["/a:/b:ro:rw"]},
    {"Binds": ["/a:/"]},
    {"Binds": ["/a:/x", "/b:/x"]},
    {"Binds": ["name:/x:shared"]},
    {"Mounts": [{"Type": "nosuch", "Target": "/x"}]},
    {"Mounts": [{"Type": "bind", "Target": "/x"}]},
    {"Mounts": [{"Type": "bind", "Source": "relative", "Target": "/x"}]},
    {"Mounts": [{"Type": "bind", "Source": "/nosuch", "Target": "/x"}]},
    {"Mounts": [{"Type": "bind", "Source": "/", "Target": "x"}]},
    {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x", "VolumeOptions": {}}]},
    {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x", "BindOptions": {"Propagation": "nosuch"}}]},
    {"Mounts": [{"Type": "volume", "Target": "/x", "BindOptions": {}}]},
    {"Mounts": [{"Type": "tmpfs", "Target": "/x", "Source": "/y"}]},
    {"Mounts": [{"Type": "tmpfs", "Target": "/x", "BindOptions": {}}]},
    {"Mounts": [{"Type": "tmpfs", "Target": "/"}]},
    {"Tmpfs": {"/": ""}},
    {"Tmpfs": {"/x": "nosuch=1"}},
    {"Tmpfs": {"/x": ""}, "Binds": ["/a:/x"]},
    {"PortBindings": {"x": [{}]}},
    {"PortBindings": {"80/tcp": [{"HostPort": "x"}]}},
    {"PortBindings": {"80/tcp": [{"HostIp": "nosuch"}]}},
)


STARTED: Final[tuple[dict[str, object], ...]] = (
    {"User": "nosuch"},
    {"User": "0:nosuch"},
    *(
        {"HostConfig": {"NetworkMode": "none", **change}}
        for change in (
            {"GroupAdd": ["nosuch"]},
            {"NetworkMode": "container:nosuch"},
            {"NetworkMode": "container:ended"},
            {"PidMode": "container:ended"},
            {"IpcMode": "container:ended"},
            {"IpcMode": "container:going"},
            {"IpcMode": "nosuch"},
            {"LogConfig": {"Type": "json-file", "Config": {"max-size": "x"}}},
            {"SecurityOpt": ["seccomp=nosuch"]},
            {"DeviceCgroupRules": ["nosuch"]},
            {"Devices": [{"PathOnHost": "/dev/nosuch", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}]},
            {"BlkioDeviceReadBps": [{"Path": "/dev/nosuch", "Rate": 1}]},
            {"Tmpfs": {"/x": "nosuch=1"}},
        )
    ),
)
GO: Final = re.compile(r"strconv|json:|invalid character|unexpected EOF|^EOF$|lstat |failed to parse value")
DIFFERENT: Final[Mapping[str, tuple[str, ...]]] = {
    "words of later versions of dockerd": (
        "DELETE /containers/going",
        "DELETE /containers/still",
        'POST /containers/going/update {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 2}}',
        '{"RestartPolicy": {"Name": "no", "MaximumRetryCount": 1}}',
        "POST /containers/going/kill?signal=-1",
        "POST /containers/going/kill?signal=99",
        '{"HostConfig": {"NetworkMode": "none", "PidMode": "container:ended"}}',
    ),
    "what is wrong is told by the name of the parameter or field": (
        'POST /containers/create {"Image": ""}',
        "POST /containers/going/resize?h=x&w=1",
        "POST /containers/going/resize?w=1",
        "POST /containers/going/resize",
        "GET /containers/going/archive",
        "GET /containers/going/archive?path=",
        "POST /commit?container=ended&repo=UPPER {}",
        'POST /containers/create?platform=nosuch {"Image": "busybox"}',
        '{"NanoCpus": -1}',
        '{"ShmSize": -1}',
        '{"Binds": ["name:/x:shared"]}',
        '{"HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": {"max-size": "x"}}}}',
        '{"HostConfig": {"NetworkMode": "none", "BlkioDeviceReadBps": [{"Path": "/dev/nosuch", "Rate": 1}]}}',
        '{"HostConfig": {"NetworkMode": "none", "Tmpfs": {"/x": "nosuch=1"}}}',
        _listed({"is-task": ["x"]}),
    ),
    "what cannot be meant is refused": (
        "POST /containers/going/resize?h=-1&w=1",
        _listed({"name": ["("]}),
        f"GET /events?until=1&filters={quote(json.dumps({'nosuch': ['x']}))}",
    ),
    "a container that is not there is 404": (_listed({"before": ["nosuch"]}), _listed({"since": ["nosuch"]})),
    "but not at a creation, where the CLI would pull the image": (
        '{"VolumeDriver": "nosuch", "Binds": ["name:/x"]}',
        '{"HostConfig": {"NetworkMode": "container:nosuch"}}',
    ),
    "older clients send one value without a list": (_listed({"label": "x"}),),
    "what this engine does not have is told, not ignored": (
        '{"SecurityOpt": ["apparmor=nosuch"]}',
        '{"DeviceRequests": [{"Driver": "nosuch", "Count": 1}]}',
        '{"StorageOpt": {"size": "1G"}}',
        '{"StorageOpt": {"nosuch": "1G"}}',
        '{"KernelMemory": 33554432}',
        '{"CpuCount": 1}',
        '{"Cgroup": "container:going"}',
    ),
    "that it is not shareable shows before it runs": (
        '{"HostConfig": {"NetworkMode": "none", "IpcMode": "container:ended"}}',
    ),
}
"""What is not as in dockerd, by the reason."""


def test_of_a_container_that_is_not_there(pair: tuple[Daemon, Daemon]) -> None:
    assert differences(pair, {named(each): each for each in MISSING}, said) == {}


def test_in_a_state_that_forbids_it(pair: tuple[Daemon, Daemon]) -> None:
    assert differences(pair, {named(each): each for each in STATES}, said) == {}


def test_requests_that_mean_nothing(pair: tuple[Daemon, Daemon]) -> None:
    assert differences(pair, {named(each): each for each in MISUSE}, said) == {}


@pytest.mark.slow
def test_options_that_mean_nothing(pair: tuple[Daemon, Daemon]) -> None:
    """Of the config, and of how the host is to run it."""
    bodies = [{**BODY, **change} for change in CREATE] + [{**BODY, "HostConfig": change} for change in HOST]
    names = [json.dumps(change) for change in (*CREATE, *HOST)]
    assert differences(pair, dict(zip(names, bodies, strict=True)), created) == {}


def test_options_of_which_dockerd_tells_at_the_start(pair: tuple[Daemon, Daemon]) -> None:
    bodies = {json.dumps(change): {**BODY, **change} for change in STARTED}
    assert differences(pair, bodies, started) == {}


@pytest.mark.parametrize("version", ["1.99", "2.0", "1.10"])
def test_versions_that_are_not_spoken(pair: tuple[Daemon, Daemon], version: str) -> None:
    ours, peers = (asked(daemon.socket, "GET", f"/v{version}/_ping") for daemon in pair)
    assert (ours.status, re.sub(r"1\.\d+\b", "1.x", ours.message)) == (
        peers.status,
        re.sub(r"1\.\d+\b", "1.x", peers.message),
    )


def differences(
    pair: tuple[Daemon, Daemon], questions: Mapping[str, Any], ask: Callable[[Daemon, Any], Said]
) -> dict[str, Any]:
    """The questions to which the two say something else than they should, with what they say."""
    with ThreadPoolExecutor(8) as pool:
        ours, peers = (
            dict(zip(questions, answers, strict=True))
            for answers in [pool.map(partial(ask, daemon), questions.values()) for daemon in pair]
        )
    listed = {name for names in DIFFERENT.values() for name in names}
    wrong = {}
    for name in questions:
        same = alike(ours[name], peers[name])
        if same == (name in listed):
            wrong[name] = (ours[name], peers[name])
    return wrong


def alike(ours: Said, peers: Said) -> bool:
    """Whether they say the same.

    dockerd 20.10 takes the blame, 500, for much that is the client's doing, often in Go's own words; and of much that a
    creation asks for in vain it tells at the start, or never.
    """
    refused = 400 <= ours.status < 500
    if (refused and peers.status == 201) or (refused and peers.status == 500 and GO.search(peers.words)):
        return bool(ours.words)
    return (
        (ours.status == peers.status or (refused and peers.status == 500))
        and plain(peers.words) in plain(ours.words)
        and ours.warnings == peers.warnings
    )


def plain(text: str) -> str:
    return re.sub(r"[\"'`]", "", re.sub(r"[0-9a-f]{64}", "#", text)).lower()


def named(request: Request) -> str:
    method, path, *rest = request
    return " ".join([method, path, *(each.decode() if isinstance(each, bytes) else json.dumps(each) for each in rest)])


def said(daemon: Daemon, request: Request) -> Said:
    method, path, *rest = request
    body = rest[0] if rest else None
    headers = rest[1] if len(rest) > 1 else None
    answer = asked(daemon.socket, method, f"/v1.41{path}", body, headers=headers)  # type: ignore[arg-type]
    return Said(answer.status, answer.message)


def created(daemon: Daemon, body: object) -> Said:
    """The error or the warnings of a container's creation."""
    answer = asked(daemon.socket, "POST", "/v1.41/containers/create", body)
    if answer.status == 201:
        asked(daemon.socket, "DELETE", f"/v1.41/containers/{answer.document['Id']}?v=1")
        return Said(answer.status, "", tuple(answer.document["Warnings"] or ()))
    return Said(answer.status, answer.message)


def started(daemon: Daemon, body: object) -> Said:
    """The error of a container's creation or, where that says nothing, of its start."""
    made = asked(daemon.socket, "POST", "/v1.41/containers/create", body)
    if made.status != 201:
        return Said(made.status, made.message)
    path = f"/v1.41/containers/{made.document['Id']}"
    answer = asked(daemon.socket, "POST", f"{path}/start")
    asked(daemon.socket, "DELETE", f"{path}?force=1&v=1")
    return Said(answer.status, answer.message)
