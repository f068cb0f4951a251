"""What the volume pages read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from webui import gateway
from webui.volumes.measuring import CERTAIN, LISTED, known_sizes

if TYPE_CHECKING:
    from webui.environments.models import Environment

_SECRET: Final = re.compile(r"((?:^|,)(?:password|passwd|pass|credentials)=)[^,]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """A volume, the containers that have it, and how much is in it where that is known."""

    volume: gateway.VolumeSummary
    containers: tuple[gateway.ContainerSummary, ...]
    size: int | None = None

    @property
    def where(self) -> str:
        return self.volume.options.get("device") or self.volume.mountpoint


@dataclass(frozen=True, slots=True)
class VolumeList:
    rows: tuple[VolumeRow, ...]
    measured: bool
    """Whether the sizes are known; the page asks for them if not."""

    @property
    def unused(self) -> tuple[VolumeRow, ...]:
        return tuple(row for row in self.rows if not row.containers)

    @property
    def total(self) -> int:
        return sum(row.size or 0 for row in self.rows)


@dataclass(frozen=True, slots=True)
class Use:
    """A container that has the volume, and where."""

    container: gateway.ContainerSummary
    mount: gateway.Mount


@dataclass(frozen=True, slots=True)
class VolumePage:
    volume: gateway.VolumeSummary
    uses: tuple[Use, ...]
    size: int | None
    measured: bool

    @property
    def options(self) -> Mapping[str, str]:
        """The driver's options, without what is secret in them."""
        return {name: without_secrets(value) for name, value in self.volume.options.items()}


def volume_list(*, environment: Environment, query: str = "", measured_within: int = LISTED) -> VolumeList:
    """The volumes that *query* asks for, those with a name first.

    A query is words that must all hold: `unused`, `anonymous`, `driver:nfs`, `label:team=web`, or text in the name.
    """
    with gateway.client(environment) as client:
        volumes = client.volumes()
        containers = client.containers(all=True)
    made = [volume.created for volume in volumes]
    sizes = known_sizes(environment=environment, within=measured_within, made=made)
    users: dict[str, list[gateway.ContainerSummary]] = {}
    for container in sorted(containers, key=lambda container: container.name):
        for name in {mount.name for mount in container.mounts if mount.kind == "volume"}:
            users.setdefault(name, []).append(container)
    rows = [VolumeRow(volume, tuple(users.get(volume.name, ())), (sizes or {}).get(volume.name)) for volume in volumes]
    rows = [row for row in rows if all(_holds(row, word) for word in query.casefold().split())]
    rows.sort(key=lambda row: (row.volume.anonymous, row.volume.name))
    return VolumeList(tuple(rows), sizes is not None)


def volume_page(*, environment: Environment, name: str) -> VolumePage:
    """`gateway.NotFound` when there is none."""
    with gateway.client(environment) as client:
        volume = client.volume(name)
        containers = client.containers(all=True, filters={"volume": name})
    sizes = known_sizes(environment=environment, within=CERTAIN, made=[volume.created])
    uses = [
        Use(container, mount)
        for container in sorted(containers, key=lambda container: container.name)
        for mount in container.mounts
        # The engine's filter takes a path of the host for a name as well.
        if mount.kind == "volume" and mount.name == name
    ]
    return VolumePage(volume, tuple(uses), (sizes or {}).get(name), sizes is not None)


def drivers(*, environment: Environment) -> tuple[str, ...]:
    """The drivers of volumes that the engine has, its own first."""
    with gateway.client(environment) as client:
        plugins = client.info().raw.get("Plugins") or {}
    return ("local", *sorted(set(plugins.get("Volume") or ()) - {"local"}))


def without_secrets(options: str) -> str:
    """Mount options, such as those of CIFS, without the passwords in them."""
    return _SECRET.sub(r"\1…", options)


def _holds(row: VolumeRow, word: str) -> bool:
    if word == "unused":
        return not row.containers
    if word == "anonymous":
        return row.volume.anonymous
    key, separator, value = word.partition(":")
    if separator and key == "driver":
        return row.volume.driver.casefold() == value
    if separator and key == "label":
        name, given, wanted = value.partition("=")
        return any(
            label.casefold() == name and (not given or content.casefold() == wanted)
            for label, content in row.volume.labels.items()
        )
    return word in row.volume.name.casefold()
