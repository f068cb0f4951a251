"""The OCI runtime specification of a container (OCI runtime-spec, config.md and config-linux.md).

A pure function of what the container asks for and of what has been prepared for it: the same values in, the same JSON
out. Docker's choices are followed wherever its documentation or a program in a container could tell the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.containers import seccomp
from engine.containers.model import Container
from engine.containers.users import Identity

DEFAULT_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_PIDS: Final = 2048
NANOSECONDS_A_PERIOD: Final = 100_000

_MASKED: Final = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_DEVICES: Final = (
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "rwm"},  # zero
    {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},  # null
    {"allow": True, "type": "c", "major": 1, "minor": 9, "access": "rwm"},  # urandom
    {"allow": True, "type": "c", "major": 1, "minor": 8, "access": "rwm"},  # random
    {"allow": True, "type": "c", "major": 1, "minor": 7, "access": "rwm"},  # full
    {"allow": True, "type": "c", "major": 5, "minor": 0, "access": "rwm"},  # tty
    {"allow": True, "type": "c", "major": 5, "minor": 1, "access": "rwm"},  # console
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},  # pts
    {"allow": True, "type": "c", "major": 5, "minor": 2, "access": "rwm"},  # ptmx
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is there before the specification is written."""

    rootfs: Path
    netns: Path | None
    """`None` shares the host's network."""
    files: Mapping[str, Path]
    """Files of the engine mounted into the container, by their place in it: /etc/hosts and the like."""
    identity: Identity
    capabilities: tuple[str, ...]
    cgroups_path: str
    cgroup_version: int
    init: Path | None = None
    """A small init for the host's side of `--init`."""


def runtime_spec(container: Container, prepared: Prepared) -> dict[str, Any]:
    """The content of `config.json`."""
    host = container.host
    return {
        "ociVersion": "1.0.2",
        "process": _process(container, prepared),
        "root": {"path": str(prepared.rootfs), "readonly": host.read_only_rootfs},
        "hostname": container.config.hostname,
        **({"domainname": container.config.domainname} if container.config.domainname else {}),
        "mounts": _mounts(container, prepared),
        "linux": _linux(container, prepared),
    }


def environment(container: Container, *, home: str, tty: bool) -> list[str]:
    """The process's environment: Docker's defaults, then the image's and the request's own values."""
    wanted = {"PATH": DEFAULT_PATH, "HOSTNAME": f"HOSTNAME={container.config.hostname}"}
    if tty:
        wanted["TERM"] = "TERM=xterm"
    for variable in container.config.env:
        wanted[variable.partition("=")[0]] = variable
    wanted.setdefault("HOME", f"HOME={home}")
    return list(wanted.values())


def capability_sets(capabilities: tuple[str, ...], *, uid: int) -> dict[str, list[str]]:
    """The sets of a process: another user than root holds none until a set-user-ID program gives them to it."""
    held = list(capabilities) if uid == 0 else []
    return {"bounding": list(capabilities), "effective": held, "permitted": held}


def _process(container: Container, prepared: Prepared) -> dict[str, Any]:
    identity = prepared.identity
    arguments = [container.path, *container.args]
    if prepared.init is not None:
        arguments = ["/sbin/docker-init", "--", *arguments]
    return {
        "terminal": container.config.tty,
        "user": {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.groups), "umask": 0o022},
        "args": arguments,
        "env": environment(container, home=identity.home, tty=container.config.tty),
        "cwd": container.config.working_dir or "/",
        "capabilities": capability_sets(prepared.capabilities, uid=identity.uid),
        "noNewPrivileges": container.host.no_new_privileges,
        "oomScoreAdj": 0,
        "rlimits": [
            {"type": f"RLIMIT_{limit.name.upper()}", "soft": limit.soft, "hard": limit.hard}
            for limit in container.host.ulimits
        ],
    }


def _mounts(container: Container, prepared: Prepared) -> list[dict[str, Any]]:
    host = container.host
    writable = [] if host.privileged else ["ro"]
    mounts = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", *writable),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", *writable),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", f"size={host.shm_size}"),  # noqa: S108
    ]
    taken = {bind.target for bind in host.binds}
    mounts += [
        _mount(place, "bind", str(path), "rbind", "rprivate", *(["ro"] if host.read_only_rootfs else []))
        for place, path in prepared.files.items()
        if place not in taken
    ]
    if prepared.init is not None:
        mounts.append(_mount("/sbin/docker-init", "bind", str(prepared.init), "bind", "ro"))
    own: list[tuple[str, dict[str, Any]]] = [
        # The last word of a pair such as noexec and exec counts.
        (place, _mount(place, "tmpfs", "tmpfs", "noexec", "nosuid", "nodev", *filter(None, options.split(","))))
        for place, options in host.tmpfs.items()
    ]
    own += [
        (
            bind.target,
            _mount(bind.target, "bind", bind.source, "rbind", bind.propagation, *(["ro"] if bind.read_only else [])),
        )
        for bind in host.binds
    ]
    # A mount inside another must come after it, and one of the user's replaces one of ours.
    replaced = {place for place, _ in own}
    mounts = [mount for mount in mounts if mount["destination"] not in replaced]
    return mounts + [mount for _, mount in sorted(own, key=lambda each: each[0].rstrip("/").count("/"))]


def _linux(container: Container, prepared: Prepared) -> dict[str, Any]:
    host = container.host
    namespaces: list[dict[str, str]] = [{"type": kind} for kind in ("mount", "uts", "ipc", "pid")]
    if prepared.netns is not None:
        namespaces.append({"type": "network", "path": str(prepared.netns)})
    if prepared.cgroup_version == 2 and not host.privileged:
        namespaces.append({"type": "cgroup"})
    linux: dict[str, Any] = {
        "cgroupsPath": prepared.cgroups_path,
        "namespaces": namespaces,
        "resources": _resources(container),
        "sysctl": _sysctls(container, prepared),
    }
    if not host.privileged:
        linux["maskedPaths"] = list(_MASKED)
        linux["readonlyPaths"] = list(_READ_ONLY)
        if host.seccomp != "unconfined":
            linux["seccomp"] = (
                seccomp.reduced(host.seccomp, prepared.capabilities)
                if host.seccomp
                else seccomp.default_filter(prepared.capabilities)
            )
    propagation = {bind.propagation for bind in host.binds}
    if propagation & {"shared", "rshared"}:
        linux["rootfsPropagation"] = "shared"
    elif propagation & {"slave", "rslave"}:
        linux["rootfsPropagation"] = "slave"
    return linux


def _resources(container: Container) -> dict[str, Any]:
    host = container.host
    devices: list[dict[str, Any]] = (
        [{"allow": True, "access": "rwm"}] if host.privileged else [dict(d) for d in _DEVICES]
    )
    resources: dict[str, Any] = {"devices": devices}
    memory = {
        key: value
        for key, value in (
            ("limit", host.memory),
            # Docker's rule: without a word about it, swap may be as much again as memory.
            ("swap", host.memory_swap or host.memory * 2),
            ("reservation", host.memory_reservation),
        )
        if value
    }
    if memory:
        resources["memory"] = memory
    cpu: dict[str, Any] = {
        key: value
        for key, value in (
            ("shares", host.cpu_shares),
            ("quota", host.cpu_quota),
            ("period", host.cpu_period),
            ("cpus", host.cpuset_cpus),
            ("mems", host.cpuset_mems),
        )
        if value
    }
    if host.nano_cpus:
        cpu["period"] = NANOSECONDS_A_PERIOD
        cpu["quota"] = host.nano_cpus * NANOSECONDS_A_PERIOD // 1_000_000_000
    if cpu:
        resources["cpu"] = cpu
    pids = DEFAULT_PIDS if host.pids_limit is None else host.pids_limit
    if pids > 0:
        resources["pids"] = {"limit": pids}
    return resources


def _sysctls(container: Container, prepared: Prepared) -> dict[str, str]:
    if prepared.netns is None:
        return dict(container.host.sysctls)
    # Docker's: any user of the container may bind low ports and send pings.
    usual = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    return usual | dict(container.host.sysctls)


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}
