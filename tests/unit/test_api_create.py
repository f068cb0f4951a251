"""The body of a container's creation, from JSON to values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.api import create
from engine.api.fields import Fields, decode
from engine.containers.options import Mount, RestartPolicy, RestartPolicyName, Ulimit
from engine.errors import EngineError, InvalidParameter, NotImplementedHere
from engine.networks.model import PublishedPort


def parsed(host: dict[str, Any] | None = None, **config: Any) -> create.CreateRequest:
    body = {"Image": "busybox", **config, **({"HostConfig": host} if host is not None else {})}
    return create.parse(Fields(body))


def test_the_least_body() -> None:
    request = parsed()
    assert request.config.image == "busybox"
    assert request.config.cmd is None
    assert request.config.entrypoint is None
    assert request.warnings == ()
    assert request.raw_config["Hostname"] == ""
    assert request.raw_host_config["NetworkMode"] == "default"


def test_what_the_cli_sends_gives_no_warning() -> None:
    request = parsed(
        {
            "Binds": None,
            "ContainerIDFile": "",
            "LogConfig": {"Type": "", "Config": {}},
            "NetworkMode": "bridge",
            "PortBindings": {},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "AutoRemove": True,
            "ConsoleSize": [24, 80],
            "CgroupnsMode": "",
            "IpcMode": "",
            "OomScoreAdj": 0,
            "MemorySwappiness": -1,
            "OomKillDisable": False,
            "PidsLimit": 0,
            "Devices": [],
            "MaskedPaths": None,
            "ReadonlyPaths": None,
            "BlkioWeightDevice": [],
        },
        Cmd=["sh"],
        Tty=True,
        OnBuild=None,
        Volumes={},
        Labels={},
        NetworkingConfig={"EndpointsConfig": {"bridge": {"IPAMConfig": {}, "Links": None, "Aliases": None}}},
    )
    assert request.warnings == ()
    assert request.host.auto_remove
    assert request.host.pids_limit is None


def test_ports() -> None:
    request = parsed(
        {
            "PortBindings": {
                "80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": ""}],
                "53/udp": [{"HostPort": "5300"}],
                "90-92": [{"HostPort": "9000-9002"}],
                "100": [{"HostPort": "9100-9105"}],
                "443": None,
                "444": [],
            }
        },
        ExposedPorts={"80/tcp": {}, "8000-8002/udp": {}},
    )
    assert request.config.exposed_ports == ("80/tcp", "8000/udp", "8001/udp", "8002/udp")
    assert request.host.ports == (
        PublishedPort(container_port=80, host_port=8080),
        PublishedPort(container_port=80, host_ip="127.0.0.1"),
        PublishedPort(container_port=53, protocol="udp", host_port=5300),
        *(PublishedPort(container_port=90 + n, host_port=9000 + n) for n in range(3)),
        PublishedPort(container_port=100, host_port=9100, host_port_last=9105),
        PublishedPort(container_port=444),
    )


def test_binds_and_mounts(tmp_path: Path) -> None:
    request = parsed(
        {
            "Binds": ["/srv:/data", "/srv:/ro:ro", "/srv:/shared:rshared,z"],
            "Mounts": [
                {"Type": "bind", "Source": str(tmp_path), "Target": "/m", "ReadOnly": True},
                {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1024, "Mode": 0o1777}},
            ],
            "Tmpfs": {"/run": "rw,size=64k"},
        }
    )
    assert request.host.mounts == (
        Mount(source="/srv", target="/data"),
        Mount(source="/srv", target="/ro", read_only=True),
        Mount(source="/srv", target="/shared", propagation="rshared"),
        Mount(source=str(tmp_path), target="/m", read_only=True, make_source=False),
    )
    assert request.host.tmpfs == {"/run": "rw,size=64k", "/t": "size=1024,mode=1777"}


def test_restart_security_and_limits() -> None:
    host = parsed(
        {
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "SecurityOpt": ["no-new-privileges", "seccomp=unconfined", "label=disable"],
            "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
            "Memory": 64 << 20,
            "ShmSize": 0,
        }
    ).host
    assert host.restart == RestartPolicy(name=RestartPolicyName.ON_FAILURE, maximum_retries=3)
    assert host.no_new_privileges
    assert host.seccomp == "unconfined"
    assert host.ulimits == (Ulimit(name="nofile", soft=10, hard=20),)
    assert host.shm_size == 64 << 20


def test_an_empty_entrypoint_is_not_no_entrypoint() -> None:
    assert parsed(Entrypoint=[""]).config.entrypoint == ()
    assert parsed(Entrypoint=[]).config.entrypoint is None
    assert parsed(Entrypoint="/bin/sh").config.entrypoint == ("/bin/sh",)


def test_names_are_matched_without_regard_to_case() -> None:
    body = {"image": "busybox", "hostconfig": {"networkmode": "none"}, "tty": True}
    request = create.parse(Fields(body))
    assert request.config.tty
    assert request.host.network_mode == "none"
    assert request.raw_config["Tty"] is True
    assert request.raw_host_config["NetworkMode"] == "none"


def test_unknown_options_are_told() -> None:
    log = {"Type": "local", "Config": {"compress": "true", "max-size": "1.5k"}}
    request = parsed({"NoSuch": 1, "KernelMemory": 10, "LogConfig": log}, AlsoUnknown={"a": 1})
    assert len(request.warnings) == 4
    assert all("ignored" in warning for warning in request.warnings)


@pytest.mark.parametrize(
    ("host", "config", "kind", "words"),
    [
        ({"Memory": "x"}, {}, InvalidParameter, 'HostConfig.Memory: expected an integer, got "x"'),
        ({"Memory": True}, {}, InvalidParameter, "HostConfig.Memory: expected an integer, got true"),
        ({"Memory": 1 << 70}, {}, InvalidParameter, "HostConfig.Memory: expected an integer"),
        ({"Memory": -1}, {}, InvalidParameter, "HostConfig.Memory: must not be negative"),
        ({"Binds": "x"}, {}, InvalidParameter, 'HostConfig.Binds: expected a list of strings, got "x"'),
        ({"Binds": [3]}, {}, InvalidParameter, r"HostConfig.Binds\[0\]: expected a string, got 3"),
        ({"Binds": ["/a:b"]}, {}, InvalidParameter, "mount path must be absolute"),
        ({"Binds": ["/a:/b:nosuch"]}, {}, InvalidParameter, "invalid mode"),
        ({"Binds": ["d/../x:/b"]}, {}, InvalidParameter, "includes invalid characters for a local volume name"),
        ({"Binds": ["/a:/b:ro,rw"]}, {}, InvalidParameter, "invalid mode"),
        ({"Binds": ["/a:/b:shared,slave"]}, {}, InvalidParameter, "invalid mode"),
        ({"Binds": ["data:/b:shared"]}, {}, InvalidParameter, "propagation is for host paths"),
        ({"Mounts": [{"Type": "volume", "Target": "b"}]}, {}, InvalidParameter, "mount path must be absolute"),
        (
            {"Mounts": [{"Type": "volume", "Target": "/b", "Source": "../x"}]},
            {},
            InvalidParameter,
            "invalid characters",
        ),
        ({"Mounts": [{"Type": "ufs", "Target": "/b"}]}, {}, InvalidParameter, "mount type unknown"),
        ({"Mounts": [{"Type": "image", "Target": "/b"}]}, {}, NotImplementedHere, r"HostConfig.Mounts\[0\]"),
        ({"PortBindings": {"x": [{}]}}, {}, InvalidParameter, "invalid port specification"),
        ({"PortBindings": {"80/foo": [{}]}}, {}, InvalidParameter, "invalid proto: foo"),
        ({"PortBindings": {"70000": [{}]}}, {}, InvalidParameter, "ports are 1 to 65535"),
        ({"PortBindings": {"80": [{"HostPort": "x"}]}}, {}, InvalidParameter, "HostPort"),
        ({"PortBindings": {"80": [{"HostPort": 80}]}}, {}, InvalidParameter, "HostPort: expected a string, got 80"),
        ({"PortBindings": {"80": [{"HostIp": "nowhere"}]}}, {}, InvalidParameter, "HostIp: invalid IP"),
        ({"RestartPolicy": {"Name": "sometimes"}}, {}, InvalidParameter, "invalid restart policy 'sometimes'"),
        ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 2}}, {}, InvalidParameter, "maximum retry count"),
        ({"PidMode": "theirs"}, {}, InvalidParameter, "HostConfig.PidMode"),
        ({"IpcMode": "theirs"}, {}, InvalidParameter, "HostConfig.IpcMode"),
        ({"UTSMode": "container:x"}, {}, InvalidParameter, "HostConfig.UTSMode"),
        ({"CgroupnsMode": "mine"}, {}, InvalidParameter, "HostConfig.CgroupnsMode"),
        ({"Devices": [{"PathOnHost": "kvm"}]}, {}, InvalidParameter, r"HostConfig.Devices\[0\].PathOnHost"),
        (
            {"Devices": [{"PathOnHost": "/dev/kvm", "CgroupPermissions": "x"}]},
            {},
            InvalidParameter,
            "CgroupPermissions: letters of rwm",
        ),
        ({"DeviceCgroupRules": ["c 1:3"]}, {}, InvalidParameter, "invalid device cgroup rule"),
        ({"DeviceCgroupRules": ["x 1:3 r"]}, {}, InvalidParameter, "invalid device cgroup rule"),
        ({"Runtime": "nosuch"}, {}, InvalidParameter, "HostConfig.Runtime: Unknown runtime specified nosuch"),
        ({"SecurityOpt": ["nonsense"]}, {}, InvalidParameter, "invalid --security-opt"),
        ({"LogConfig": {"Type": "local", "Config": {"max-size": "big"}}}, {}, InvalidParameter, "invalid max-size"),
        ({"LogConfig": {"Type": "local", "Config": {"max-file": "0"}}}, {}, InvalidParameter, "max-file"),
        ({"LogConfig": {"Type": "local", "Config": {"colour": "red"}}}, {}, InvalidParameter, "unknown log opt"),
        ({"BlkioDeviceReadBps": [{"Path": 3}]}, {}, InvalidParameter, r"BlkioDeviceReadBps\[0\].Path"),
        ({"LogConfig": {"Type": "syslog"}}, {}, InvalidParameter, 'plugin "syslog" not found'),
        (
            {"Annotations": {"run.oci.seccomp_bpf_data": ""}},
            {},
            InvalidParameter,
            "HostConfig.Annotations: .* is an order",
        ),
        ([], {}, InvalidParameter, "HostConfig: expected an object"),
        ({}, {"Env": {"a": "b"}}, InvalidParameter, "Env: expected a list of strings"),
        ({}, {"Env": ["a\0b"]}, InvalidParameter, "NUL"),
        ({}, {"Tty": "yes"}, InvalidParameter, 'Tty: expected true or false, got "yes"'),
        ({}, {"Labels": {"a": 1}}, InvalidParameter, "Labels.a: expected a string, got 1"),
        ({}, {"Volumes": {"data": {}}}, InvalidParameter, "mount path must be absolute"),
        ({}, {"Healthcheck": {"Interval": "1s"}}, InvalidParameter, "Healthcheck.Interval: expected an integer"),
        ({}, {"Image": ""}, InvalidParameter, "no image given"),
    ],
)
def test_what_is_refused_names_the_field(
    host: Any, config: dict[str, Any], kind: type[EngineError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        parsed(host, **config)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"Image":', "unexpected EOF"),
        (b"{", "unexpected|Expecting"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b'{"a":1} trailing', "unexpected content after JSON"),
        (b'{"a":NaN}', "invalid character 'N'"),
        (b"\xff\xfe{", "invalid JSON"),
        (b"[" * 100_000, "nested too deeply|unexpected EOF"),
    ],
)
def test_malformed_json(data: bytes, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        decode(data)
