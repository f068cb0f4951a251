"""Namespaces that a container shares: with the host, or with another container."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from engine.containers.model import Container, Status
from engine.containers.options import HostConfig
from engine.containers.spec.mounts import SharedMemory
from engine.errors import Conflict, InvalidParameter, of_field
from engine.kernel import mounts, syscalls

_PREFIX: Final = "container:"
_FIELDS: Final = {"network_mode": "NetworkMode", "pid_mode": "PidMode", "ipc_mode": "IpcMode"}
"""What may name another container, by what the API calls it."""


def partner(mode: str) -> str | None:
    """The container that a mode such as `container:web` names."""
    return mode.removeprefix(_PREFIX) if mode.startswith(_PREFIX) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a container that is being started shares with others."""

    namespaces: dict[str, Path] = field(default_factory=dict)
    """By their kind in the specification."""
    shared_memory: SharedMemory | None = None
    """`None` where the runtime makes it a file system of its own."""
    network_of: Container | None = None


def identified(host: HostConfig, *, find: Callable[[str], Container]) -> HostConfig:
    """*host* with the containers that it names by their ids; `InvalidParameter` names the field."""
    changes: dict[str, Any] = {}
    for name in _FIELDS:
        mode = getattr(host, name)
        if (text := partner(mode)) is not None:
            with of_field(f"HostConfig.{_FIELDS[name]}"):
                if not text:
                    noun = name.replace("_", " ")
                    raise InvalidParameter(
                        f"invalid {noun}: invalid container format container:<name|id>: name a container"
                    )
                other = find(text)
                if name == "ipc_mode":
                    _require_shareable(other)
            changes[name] = _PREFIX + other.id
    return replace(host, **changes)


class Joiner:
    """Finds the namespaces that a container asks to share. *directory* holds the shared memory of those that share."""

    def __init__(self, *, find: Callable[[str], Container], directory: Path) -> None:
        self._find = find
        self._directory = directory

    def join(self, container: Container) -> Joined:
        """What *container* shares, now that it starts; `Conflict` where the other does not run."""
        host = container.host
        namespaces: dict[str, Path] = {}
        network_of = None
        if (text := partner(host.network_mode)) is not None:
            network_of = self._running(text, "network")
        if (text := partner(host.pid_mode)) is not None:
            namespaces["pid"] = Path("/proc", str(self._running(text, "PID").state.pid), "ns/pid")
        if (text := partner(host.ipc_mode)) is not None:
            other = self._running(text, "IPC")
            _require_shareable(other)
            namespaces["ipc"] = Path("/proc", str(other.state.pid), "ns/ipc")
        return Joined(namespaces=namespaces, shared_memory=self._shared_memory(container), network_of=network_of)

    def leave(self, container: Container) -> None:
        """Take away the shared memory that `join` made."""
        if container.host.ipc_mode == "shareable":
            self.discard(container.id)

    def discard(self, container_id: str) -> None:
        """The same for a container of which nothing but the id is known."""
        place = self._directory / container_id
        if place.is_dir():
            mounts.unmount(place)
            place.rmdir()

    def ids(self) -> set[str]:
        """The containers that have shared memory here."""
        return {entry.name for entry in self._directory.iterdir()} if self._directory.is_dir() else set()

    def _shared_memory(self, container: Container) -> SharedMemory | None:
        mode = container.host.ipc_mode
        if mode == "host":
            return SharedMemory(source=Path("/dev/shm"))  # noqa: S108
        if mode == "none":
            return SharedMemory(source=None)
        if (text := partner(mode)) is not None:
            other = self._find(text)
            return SharedMemory(source=self._directory / other.id)
        if mode == "shareable":
            return SharedMemory(source=self._make(container))
        return None

    def _make(self, container: Container) -> Path:
        place = self._directory / container.id
        self.discard(container.id)
        place.mkdir(parents=True, mode=0o700)
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        try:
            syscalls.mount("shm", str(place), "tmpfs", flags, f"mode=1777,size={container.host.shm_size}")
        except OSError:
            place.rmdir()
            raise
        return place

    def _running(self, text: str, noun: str) -> Container:
        other = self._find(text)
        if other.state.status is Status.RESTARTING:
            raise Conflict(f"cannot join {noun} of a container that is restarting: wait until {other.short_id} runs")
        if not other.state.running:
            raise Conflict(f"cannot join {noun} of a non running container: {other.id}")
        return other


def _require_shareable(other: Container) -> None:
    if other.host.ipc_mode != "shareable":
        raise InvalidParameter(
            f"can't join IPC of container {other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor "
            "container)"
        )
