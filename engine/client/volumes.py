"""Volumes: which there are, how much is in them, and the calls that change that."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from engine.client.connection import Connection, segment
from engine.client.parse import instant

_ANONYMOUS: Final = "com.docker.volume.anonymous"
_GENERATED: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSummary:
    """A volume of an endpoint."""

    name: str
    driver: str
    mountpoint: str
    created: dt.datetime | None
    scope: str = "local"
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            name=row["Name"],
            driver=row.get("Driver", ""),
            mountpoint=row.get("Mountpoint", ""),
            created=instant(row.get("CreatedAt")),
            scope=row.get("Scope", ""),
            labels=row.get("Labels") or {},
            options=row.get("Options") or {},
        )

    @property
    def anonymous(self) -> bool:
        """Whether nobody gave it a name. Endpoints before 1.42 put no label on such a volume: their name tells."""
        return _ANONYMOUS in self.labels or _GENERATED.fullmatch(self.name) is not None


class VolumeCalls(Connection):
    def volumes(self) -> list[VolumeSummary]:
        """Every volume, by name."""
        rows = self._json("GET", "/volumes").get("Volumes") or ()
        return sorted((VolumeSummary.from_row(row) for row in rows), key=lambda volume: volume.name)

    def volume(self, name: str) -> VolumeSummary:
        return VolumeSummary.from_row(self._json("GET", f"/volumes/{segment(name)}"))

    def volume_sizes(self) -> dict[str, int]:
        """The bytes in each volume that the endpoint can measure. It walks through all of them: this takes its time."""
        # Endpoints before 1.42 do not know the parameter, and measure images and containers as well.
        rows = self._json("GET", "/system/df", parameters={"type": "volume"}, patient=True).get("Volumes") or ()
        sizes = {row["Name"]: (row.get("UsageData") or {}).get("Size", -1) for row in rows}
        return {name: size for name, size in sizes.items() if size >= 0}

    def create_volume(
        self,
        name: str = "",
        *,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> VolumeSummary:
        """The volume *name*, made unless it is there; without a name, the endpoint finds one."""
        body = {"Name": name, "Driver": driver, "DriverOpts": dict(options or {}), "Labels": dict(labels or {})}
        return VolumeSummary.from_row(self._json("POST", "/volumes/create", body=body))

    def remove_volume(self, name: str) -> None:
        """Remove it with its data; `Conflict` while a container has it."""
        self._request("DELETE", f"/volumes/{segment(name)}").close()
