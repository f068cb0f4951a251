"""The OCI runtime specification of a container (OCI runtime-spec, config.md and config-linux.md).

A pure function of what the container asks for and of what has been prepared for it: the same values in, the same JSON
out. Docker's choices are followed wherever its documentation or a program in a container could tell the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.containers.model import Container
from engine.containers.spec import seccomp
from engine.containers.spec.mounts import ReadyMount, SharedMemory, mounts, root_propagation
from engine.containers.spec.resources import resources
from engine.containers.spec.users import Identity

DEFAULT_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

MASKED: Final = (
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
READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


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
    mounts: Sequence[ReadyMount] = ()
    joined: Mapping[str, Path] = field(default_factory=dict)
    """Namespaces of other containers, by their kind in the specification."""
    shared_memory: SharedMemory | None = None
    devices: Sequence[dict[str, Any]] = ()
    """Device nodes as in `linux.devices`, each with the `access` that the container gets."""
    apparmor: str = ""
    """The AppArmor profile, which the host has loaded; empty for none."""
    link_environment: Sequence[str] = ()
    """`NAME=value`: what containers that it is linked to tell it."""


def runtime_spec(container: Container, prepared: Prepared) -> dict[str, Any]:
    """The content of `config.json`."""
    host = container.host
    return {
        "ociVersion": "1.0.2",
        "process": _process(container, prepared),
        "root": {"path": str(prepared.rootfs), "readonly": host.read_only_rootfs},
        **({"hostname": container.config.hostname} if host.uts_mode != "host" else {}),
        **({"domainname": container.config.domainname} if container.config.domainname else {}),
        "mounts": mounts(
            host,
            own=prepared.mounts,
            files=prepared.files,
            init=prepared.init,
            shared_memory=prepared.shared_memory,
        ),
        **({"annotations": dict(host.annotations)} if host.annotations else {}),
        "linux": _linux(container, prepared),
    }


def environment(container: Container, *, home: str, tty: bool, linked: Iterable[str] = ()) -> list[str]:
    """The process's environment: Docker's defaults, what links say, the image's and the request's own values."""
    wanted = {"PATH": DEFAULT_PATH, "HOSTNAME": f"HOSTNAME={container.config.hostname}"}
    if tty:
        wanted["TERM"] = "TERM=xterm"
    for variable in (*linked, *container.config.env):
        name, equals, _ = variable.partition("=")
        if equals:
            wanted[name] = variable
        else:
            wanted.pop(name, None)
    wanted.setdefault("HOME", f"HOME={home}")
    return list(wanted.values())


def capability_sets(capabilities: tuple[str, ...], *, uid: int) -> dict[str, list[str]]:
    """The sets of a process: another user than root holds none until a set-user-ID program gives them to it."""
    held = list(capabilities) if uid == 0 else []
    return {"bounding": list(capabilities), "effective": held, "permitted": held}


def _process(container: Container, prepared: Prepared) -> dict[str, Any]:
    identity = prepared.identity
    rows, columns = container.host.console_size
    arguments = [container.path, *container.args]
    if prepared.init is not None:
        arguments = ["/sbin/docker-init", "--", *arguments]
    return {
        "terminal": container.config.tty,
        **({"consoleSize": {"height": rows, "width": columns}} if container.config.tty and rows and columns else {}),
        "user": {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.groups), "umask": 0o022},
        "args": arguments,
        "env": environment(container, home=identity.home, tty=container.config.tty, linked=prepared.link_environment),
        "cwd": container.config.working_dir or "/",
        "capabilities": capability_sets(prepared.capabilities, uid=identity.uid),
        "noNewPrivileges": container.host.no_new_privileges,
        **({"apparmorProfile": prepared.apparmor} if prepared.apparmor else {}),
        "oomScoreAdj": container.host.oom_score_adj,
        "rlimits": [
            {"type": f"RLIMIT_{limit.name.upper()}", "soft": limit.soft, "hard": limit.hard}
            for limit in container.host.ulimits
        ],
    }


def _linux(container: Container, prepared: Prepared) -> dict[str, Any]:
    host = container.host
    linux: dict[str, Any] = {
        "cgroupsPath": prepared.cgroups_path,
        "namespaces": _namespaces(container, prepared),
        "resources": resources(host, devices=prepared.devices),
        "sysctl": _sysctls(container, prepared),
    }
    if prepared.devices:
        linux["devices"] = [
            {key: value for key, value in device.items() if key != "access"} for device in prepared.devices
        ]
    if not host.privileged:
        linux["maskedPaths"] = list(MASKED if host.masked_paths is None else host.masked_paths)
        linux["readonlyPaths"] = list(READ_ONLY if host.readonly_paths is None else host.readonly_paths)
        if host.seccomp != "unconfined":
            linux["seccomp"] = (
                seccomp.reduced(host.seccomp, prepared.capabilities)
                if host.seccomp
                else seccomp.default_filter(prepared.capabilities)
            )
    if propagation := root_propagation(prepared.mounts):
        linux["rootfsPropagation"] = propagation
    return linux


def _namespaces(container: Container, prepared: Prepared) -> list[dict[str, str]]:
    """Those that are the container's own, and those of other containers that it joins."""
    host = container.host
    own = ["mount"]
    own += [] if host.uts_mode == "host" else ["uts"]
    own += [] if host.pid_mode else ["pid"]
    own += [] if host.ipc_mode == "host" or "ipc" in prepared.joined else ["ipc"]
    private = host.cgroupns_mode or ("private" if prepared.cgroup_version == 2 and not host.privileged else "host")
    own += ["cgroup"] if private == "private" else []
    found = [{"type": kind} for kind in own]
    found += [{"type": kind, "path": str(path)} for kind, path in prepared.joined.items()]
    if prepared.netns is not None:
        found.append({"type": "network", "path": str(prepared.netns)})
    return found


def _sysctls(container: Container, prepared: Prepared) -> dict[str, str]:
    if prepared.netns is None:
        return dict(container.host.sysctls)
    # Docker's: any user of the container may bind low ports and send pings.
    usual = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    return usual | dict(container.host.sysctls)
