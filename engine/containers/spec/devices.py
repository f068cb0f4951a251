"""Device nodes of the host that a container gets (OCI runtime-spec, config-linux.md, "Devices")."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from engine.containers.options import Device, HostConfig
from engine.errors import EngineFault

_NOT_OF_THE_HOST: Final = frozenset({"pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev"})
"""Entries of /dev that a container has of its own, or that are no devices."""
_MOST: Final = 4096


def nodes(host: HostConfig) -> list[dict[str, Any]]:
    """The nodes as in `linux.devices`, each with its `access`; a privileged container gets all that the host has.

    `EngineFault` in Docker's words where a device is not there.
    """
    found: dict[str, dict[str, Any]] = {}
    if host.privileged:
        for path in _devices_below(Path("/dev")):
            if (node := _node(path, str(path), "rwm")) is not None:
                found[node["path"]] = node
    for device in host.devices:
        found |= {node["path"]: node for node in _asked(device)}
    return list(found.values())


def _asked(device: Device) -> list[dict[str, Any]]:
    source = Path(device.source)
    where = f'error gathering device information while adding custom device "{device.source[:200]}"'
    try:
        real = source.resolve(strict=True)
        if real.is_dir():
            below = [
                _node(path, os.path.normpath(f"{device.target}/{path.relative_to(real)}"), device.permissions)
                for path in _devices_below(real)
            ]
            return [node for node in below if node is not None]
        node = _node(real, os.path.normpath(device.target), device.permissions)
    except (OSError, RuntimeError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else "too many links"
        raise EngineFault(f"{where}: {said.lower()}") from error
    if node is None:
        raise EngineFault(f"{where}: not a device node")
    return [node]


def _node(path: Path, target: str, access: str) -> dict[str, Any] | None:
    status = path.lstat()
    if stat.S_ISCHR(status.st_mode):
        kind = "c"
    elif stat.S_ISBLK(status.st_mode):
        kind = "b"
    else:
        return None
    return {
        "path": target,
        "type": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "access": access,
    }


def _devices_below(directory: Path) -> Iterator[Path]:
    """The nodes in *directory* and below; links are not followed, and what the host hides is passed over."""
    count = 0
    for top, directories, files in os.walk(directory):
        directories[:] = [name for name in directories if name not in _NOT_OF_THE_HOST]
        for name in files:
            path = Path(top, name)
            if name in _NOT_OF_THE_HOST or path.is_symlink():
                continue
            count += 1
            if count > _MOST:
                raise EngineFault(f"more than {_MOST} device nodes below {directory}")
            yield path
