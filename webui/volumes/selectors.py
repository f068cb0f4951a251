"""What the volume pages read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webui import gateway

if TYPE_CHECKING:
    from webui.environments.models import Environment


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """A volume, and the containers that have it."""

    volume: gateway.VolumeSummary
    containers: tuple[gateway.ContainerSummary, ...]


def volume_list(*, environment: Environment, query: str = "") -> list[VolumeRow]:
    """The volumes by name whose name contains *query*; `unused` finds those of no container. Named ones come first."""
    with gateway.client(environment) as client:
        volumes = client.volumes()
        containers = client.containers(all=True)
    users: dict[str, list[gateway.ContainerSummary]] = {}
    for container in containers:
        for mount in container.mounts:
            if mount.kind == "volume":
                users.setdefault(mount.name, []).append(container)
    rows = [VolumeRow(volume, tuple(users.get(volume.name, ()))) for volume in volumes]
    if query == "unused":
        rows = [row for row in rows if not row.containers]
    elif query:
        rows = [row for row in rows if query.casefold() in row.volume.name.casefold()]
    return sorted(rows, key=lambda row: (row.volume.anonymous, row.volume.name))
