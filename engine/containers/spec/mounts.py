"""Mounts of the OCI runtime specification (OCI runtime-spec, config.md, "Mounts")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.containers.options import HostConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMount:
    """A host path or volume that is ready to be mounted."""

    source: Path
    target: str
    options: tuple[str, ...] = ("rbind", "rprivate")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMemory:
    """What the container has at /dev/shm, where it is not a file system of its own."""

    source: Path | None
    """Where it is on the host; `None` leaves /dev/shm out."""


def mounts(
    host: HostConfig,
    *,
    own: Sequence[ReadyMount],
    files: Mapping[str, Path],
    init: Path | None,
    shared_memory: SharedMemory | None,
) -> list[dict[str, Any]]:
    """All mounts, in the order in which they are made: one inside another comes after it.

    *own* are those that the container asked for, *files* those of the engine, by their place.
    """
    writable = [] if host.privileged else ["ro"]
    usual = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", *writable),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", *writable),
        *_interprocess(host, shared_memory),
    ]
    taken = {mount.target for mount in own}
    usual += [
        _mount(place, "bind", str(path), "rbind", "rprivate", *(["ro"] if host.read_only_rootfs else []))
        for place, path in files.items()
        if place not in taken
    ]
    if init is not None:
        usual.append(_mount("/sbin/docker-init", "bind", str(init), "bind", "ro"))
    asked: list[tuple[str, dict[str, Any]]] = [
        (place, _mount(place, "tmpfs", "tmpfs", *_safe(options.split(",")))) for place, options in host.tmpfs.items()
    ]
    asked += [(mount.target, _mount(mount.target, "bind", str(mount.source), *mount.options)) for mount in own]
    replaced = {place for place, _ in asked}
    usual = [mount for mount in usual if mount["destination"] not in replaced]
    return usual + [mount for _, mount in sorted(asked, key=lambda each: each[0].rstrip("/").count("/"))]


def _safe(asked: Sequence[str]) -> list[str]:
    """A tmpfs's options: Docker's own, less those that *asked* has the opposite of. Runtimes differ on which counts."""
    usual = [word for word in ("noexec", "nosuid", "nodev") if word.removeprefix("no") not in asked]
    return [*usual, *filter(None, asked)]


def root_propagation(own: Sequence[ReadyMount]) -> str:
    """`linux.rootfsPropagation`: what a mount that is shared or a slave needs of the root."""
    words = {option for mount in own for option in mount.options}
    if words & {"shared", "rshared"}:
        return "shared"
    return "slave" if words & {"slave", "rslave"} else ""


def _interprocess(host: HostConfig, shared: SharedMemory | None) -> list[dict[str, Any]]:
    queues = _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")
    if shared is None:
        size = f"size={host.shm_size}"
        return [queues, _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", size)]  # noqa: S108
    found = [queues]
    if shared.source is not None:
        found.append(_mount("/dev/shm", "bind", str(shared.source), "rbind", "rprivate"))  # noqa: S108
    return found


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}
