"""From a request to the OCI specification, without a kernel: what is merged, refused and written."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from engine.api import render_container
from engine.containers.creation import Draft, draft
from engine.containers.model import Container
from engine.containers.mounting import ready_mount
from engine.containers.options import ContainerConfig, HostConfig, Mount, MountKind, Ulimit
from engine.containers.spec import capabilities
from engine.containers.spec.document import Prepared, runtime_spec
from engine.containers.spec.users import Identity
from engine.errors import ContainerNotFound, InvalidParameter
from engine.images.model import Image, ImageConfig
from engine.types import Digest, Platform, is_id, new_id

ID = new_id()


def drafted(config: dict[str, Any] | None = None, image: dict[str, Any] | None = None, **host: Any) -> Draft:
    return draft(
        container_id=ID,
        name="box",
        image=Image(
            id=Digest.of(b"i"),
            platform=Platform(os="linux", architecture="amd64"),
            config=ImageConfig(**{"cmd": ("sh",), **(image or {})}),
            created=None,
            size=0,
            diff_ids=(),
        ),
        config=ContainerConfig(image="box", **(config or {})),
        host=HostConfig(**host),
        raw_config={},
        raw_host_config={},
        held=frozenset(capabilities.ALL),
        log_path="/log",
        find=_other,
    )


def _other(text: str) -> Container:
    """The one other container that there is."""
    if text not in ("other", ID):
        raise ContainerNotFound(text)
    return drafted(ipc_mode="shareable").container


def spec(
    config: dict[str, Any] | None = None,
    *,
    cgroup_version: int = 1,
    netns: Path | None = Path("/n"),
    joined: dict[str, Path] | None = None,
    **host: Any,
) -> dict[str, Any]:
    container = drafted(config, **host).container
    prepared = Prepared(
        rootfs=Path("/rootfs"),
        netns=netns,
        files={"/etc/hosts": Path("/b/hosts")},
        identity=Identity(uid=0, gid=0, groups=(0,), home="/root"),
        capabilities=capabilities.DEFAULT,
        cgroups_path=f"/havre/{ID}",
        cgroup_version=cgroup_version,
        init=Path("/usr/bin/tini") if container.host.init else None,
        mounts=[ready_mount(mount, Path(mount.source)) for mount in container.host.mounts],
        joined=joined or {},
    )
    made = runtime_spec(container, prepared)
    assert json.loads(json.dumps(made)) == made
    return made


def mounts(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["destination"]: mount for mount in made["mounts"]}


@pytest.mark.parametrize(
    ("image", "config", "expected"),
    [
        ({}, {}, ["sh"]),
        ({"entrypoint": ("e",)}, {}, ["e", "sh"]),
        ({"entrypoint": ("e",)}, {"cmd": ("c",)}, ["e", "c"]),
        ({"entrypoint": ("e",)}, {"cmd": ()}, ["e", "sh"]),
        ({"entrypoint": ("e",)}, {"entrypoint": ("x",)}, ["x"]),
        ({"entrypoint": ("e",)}, {"entrypoint": ("x",), "cmd": ("c",)}, ["x", "c"]),
        ({"entrypoint": ("e",)}, {"entrypoint": (), "cmd": ("c",)}, ["c"]),
    ],
)
def test_command(image: dict[str, Any], config: dict[str, Any], expected: list[str]) -> None:
    container = drafted(config, image).container
    assert [container.path, *container.args] == expected


@pytest.mark.parametrize(
    ("config", "image"),
    [({}, {"cmd": None}), ({"entrypoint": ()}, {}), ({"cmd": ("",)}, {}), ({"cmd": ("a\0b",)}, {})],
)
def test_no_command(config: dict[str, Any], image: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        drafted(config, image)


def test_environment_is_merged() -> None:
    image = {"env": ("A=1", "B=2", "C=3")}
    container = drafted({"env": ("B=two", "C", "D=x=y", "E=")}, image).container
    # A name without a value stays, as Docker shows it, and takes the image's away when the process starts.
    # What the request says comes first, as in dockerd.
    assert container.config.env == ("B=two", "C", "D=x=y", "E=", "A=1")
    assert not [each for each in spec({"env": ("HOME", "C")})["process"]["env"] if each.startswith("C")]
    made = spec({"env": ("HOME=/h", "TERM=dumb"), "tty": True, "hostname": "box"})
    assert made["process"]["terminal"] is True
    assert made["process"]["env"] == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=box",
        "TERM=dumb",
        "HOME=/h",
    ]


def test_hostname() -> None:
    assert spec()["hostname"] == ID[:12]
    assert spec(network_mode="host")["hostname"] == Path("/proc/sys/kernel/hostname").read_text().strip()


def test_namespaces() -> None:
    def kinds(made: dict[str, Any]) -> dict[str, str | None]:
        return {each["type"]: each.get("path") for each in made["linux"]["namespaces"]}

    private = {"mount": None, "uts": None, "ipc": None, "pid": None}
    assert kinds(spec()) == {**private, "network": "/n"}
    assert kinds(spec(netns=None)) == private
    assert kinds(spec(cgroup_version=2)) == {**private, "network": "/n", "cgroup": None}
    assert kinds(spec(cgroupns_mode="private", netns=None)) == {**private, "cgroup": None}
    assert kinds(spec(cgroupns_mode="host", cgroup_version=2, netns=None)) == private
    assert kinds(spec(pid_mode="host", ipc_mode="host", uts_mode="host", netns=None)) == {"mount": None}
    others = {"pid": Path("/proc/7/ns/pid"), "ipc": Path("/proc/7/ns/ipc")}
    assert kinds(spec(pid_mode="container:other", ipc_mode="container:other", joined=others, netns=None)) == {
        "mount": None,
        "uts": None,
        "pid": "/proc/7/ns/pid",
        "ipc": "/proc/7/ns/ipc",
    }


def test_nothing_of_the_host_unless_privileged() -> None:
    usual, privileged = spec(), spec(privileged=True)
    assert "seccomp" in usual["linux"]
    assert "/proc/kcore" in usual["linux"]["maskedPaths"]
    assert "/proc/sys" in usual["linux"]["readonlyPaths"]
    assert "ro" in mounts(usual)["/sys"]["options"]
    assert "ro" in mounts(usual)["/sys/fs/cgroup"]["options"]
    assert usual["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert {"seccomp", "maskedPaths", "readonlyPaths"} & privileged["linux"].keys() == set()
    assert "ro" not in mounts(privileged)["/sys"]["options"]
    assert "seccomp" not in spec(seccomp="unconfined")["linux"]


def test_inspect_tells_what_is_masked() -> None:
    container = drafted().container
    told = render_container.inspect(container, root=Path("/root"), lower=())["HostConfig"]
    assert told["MaskedPaths"] == spec()["linux"]["maskedPaths"]
    assert told["ReadonlyPaths"] == spec()["linux"]["readonlyPaths"]


def test_resources() -> None:
    assert spec()["linux"]["resources"].keys() == {"devices", "pids"}
    assert spec()["linux"]["resources"]["pids"] == {"limit": 2048}
    assert "pids" not in spec(pids_limit=-1)["linux"]["resources"]
    made = spec(memory=1 << 30, nano_cpus=1_500_000_000, cpuset_cpus="0")["linux"]["resources"]
    assert made["memory"] == {"limit": 1 << 30, "swap": 2 << 30}
    assert made["cpu"] == {"period": 100_000, "quota": 150_000, "cpus": "0"}
    assert spec(memory=1 << 30, memory_swap=-1)["linux"]["resources"]["memory"]["swap"] == -1


def test_mounts_come_after_what_they_lie_in_and_replace_ours() -> None:
    made = spec(
        mounts=(
            Mount(source="/s1", target="/a/b/c"),
            Mount(source="/usr", target="/a", read_only=True),
            Mount(source="/etc/passwd", target="/f", read_only=True),
            Mount(source="/s3", target="/etc/hosts"),
            Mount(source="/s4", target="/dev/shm/"),
        ),
        tmpfs={"/a/b": "size=1m"},
    )
    places = [mount["destination"] for mount in made["mounts"]]
    assert places.index("/a") < places.index("/a/b") < places.index("/a/b/c")
    assert places.count("/etc/hosts") == 1
    assert mounts(made)["/etc/hosts"]["source"] == "/s3"
    assert len([place for place in places if place.rstrip("/") == "/dev/shm"]) == 1
    assert mounts(made)["/a"]["options"] == ["rbind", "rprivate", "rro"]
    assert mounts(made)["/f"]["options"] == ["rbind", "rprivate", "ro"]


def test_a_terminal_has_its_first_size() -> None:
    assert "consoleSize" not in spec(console_size=(24, 80))["process"]
    assert "consoleSize" not in spec({"tty": True})["process"]
    assert spec({"tty": True}, console_size=(24, 80))["process"]["consoleSize"] == {"height": 24, "width": 80}


def test_propagation_reaches_the_root() -> None:
    def propagation(value: str) -> str | None:
        made = spec(mounts=(Mount(source="/s", target="/t", propagation=value),))
        found: str | None = made["linux"].get("rootfsPropagation")
        return found

    assert [propagation(value) for value in ("rprivate", "rshared", "rslave")] == [None, "shared", "slave"]


def test_init() -> None:
    made = spec({"cmd": ("a", "b")}, init=True)
    assert made["process"]["args"] == ["/sbin/docker-init", "--", "a", "b"]
    assert mounts(made)["/sbin/docker-init"]["options"] == ["bind", "ro"]


def test_limits_stay_below_the_hosts_own() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = drafted(ulimits=(Ulimit(name="nofile", soft=10, hard=20),))
    assert (low.container.host.ulimits, low.warnings) == ((Ulimit(name="nofile", soft=10, hard=20),), ())
    if most != resource.RLIM_INFINITY:
        high = drafted(ulimits=(Ulimit(name="nofile", soft=10, hard=most + 1),))
        assert high.container.host.ulimits == (Ulimit(name="nofile", soft=10, hard=most),)
        assert f"lowered to {most}" in high.warnings[0]
    with pytest.raises(InvalidParameter, match="soft limit must be less"):
        drafted(ulimits=(Ulimit(name="nofile", soft=2, hard=1),))


def test_others_are_kept_by_their_ids() -> None:
    host = drafted(pid_mode="container:other", network_mode="container:other").container.host
    assert (host.pid_mode, host.network_mode) == (f"container:{ID}", f"container:{ID}")
    with pytest.raises(InvalidParameter, match="PidMode: No such container: nosuch"):
        drafted(pid_mode="container:nosuch")
    with pytest.raises(InvalidParameter, match="name a container"):
        drafted(pid_mode="container:")
    # What contradicts itself is told before anybody is looked for.
    with pytest.raises(InvalidParameter, match="conflicting options"):
        drafted({"mac_address": "02:42:00:00:00:01"}, network_mode="container:nosuch")


def test_every_volume_gets_a_name_once() -> None:
    host = drafted(
        {"volumes": ("/data", "/own/", "/bound")},
        image={"volumes": ("/data", "/image")},
        mounts=(Mount(source="/srv", target="/bound"), Mount(kind=MountKind.VOLUME, target="/asked", source="named")),
    ).container.host
    found = {mount.target: mount for mount in host.mounts}
    assert set(found) == {"/bound", "/asked", "/data", "/own", "/image"}
    assert found["/bound"].source == "/srv"
    assert (found["/asked"].source, found["/asked"].own) == ("named", False)
    for place in ("/data", "/own", "/image"):
        assert is_id(found[place].source)
        assert found[place].own


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"memory": 1024}, "Minimum memory limit allowed is 6MB"),
        ({"memory_swap": 1 << 30}, "always set the Memory limit"),
        ({"memory": 1 << 30, "memory_swap": 1 << 20}, "larger than memory limit"),
        ({"nano_cpus": 1, "cpu_quota": 1}, "Conflicting options"),
        ({"nano_cpus": 1_000_000}, "NanoCpus: Range of CPUs is from 0.01 to"),
        ({"mounts": (Mount(source="/a", target="/x"), Mount(source="/b", target="/x/"))}, "Duplicate mount point: /x"),
        ({"mounts": (Mount(source="/a", target="//"),)}, "destination can't be '/'"),
        ({"mounts": (Mount(source="/a", target="/x"),), "tmpfs": {"/x": ""}}, "Duplicate mount point: /x"),
        ({"tmpfs": {"/": ""}}, "destination can't be '/'"),
        ({"ulimits": (Ulimit(name="fsize", soft=4096, hard=8192),)}, "fsize: at least 32768 bytes"),
        ({"cpuset_mems": "0-1023"}, "Requested memory nodes are not available - requested 0-1023"),
        ({"mounts": (Mount(source="/no/such", target="/x", make_source=False),)}, "path does not exist: /no/such"),
        ({"sysctls": {"kernel.panic": "1"}}, "not whitelisted"),
        ({"sysctls": {"net.x": "1"}, "network_mode": "host"}, "not allowed in host network mode"),
    ],
)
def test_what_a_host_cannot_do(host: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        drafted(**host)
