"""Volumes, as the API tells them (Docker Engine API, `Volume`)."""

from __future__ import annotations

from typing import Any

from engine.types import SECOND, rfc3339
from engine.volumes.model import Volume


def volume(found: Volume) -> dict[str, Any]:
    return {
        "CreatedAt": rfc3339(found.created // SECOND * SECOND),
        "Driver": "local",
        "Labels": {"com.docker.volume.anonymous": "", **found.labels} if found.anonymous else dict(found.labels),
        "Mountpoint": str(found.mountpoint),
        "Name": found.name,
        "Options": dict(found.options) or None,
        "Scope": "local",
    }
