"""The filters of the list of volumes, and of prune (Docker Engine API, `VolumeList`, `VolumePrune`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from engine import patterns
from engine.errors import InvalidParameter
from engine.volumes.model import Volume

_LISTED: Final = frozenset({"dangling", "driver", "label", "name"})
_PRUNED: Final = frozenset({"label", "label!"})


def chosen(
    volumes: Sequence[Volume],
    filters: Mapping[str, Collection[str]],
    *,
    used: Collection[str],
    pruning: bool = False,
) -> list[Volume]:
    """Those of *volumes* that every filter admits; those in *used* are not dangling. `InvalidParameter`."""
    for key in filters:
        if key not in (_PRUNED if pruning else _LISTED):
            raise InvalidParameter(f"invalid filter '{key[:60]}'")
    found = list(volumes)
    if dangling := filters.get("dangling"):
        wanted = {flag("dangling", value) for value in dangling}
        found = [volume for volume in found if (volume.name not in used) in wanted]
    if pruning:
        found = [volume for volume in found if volume.name not in used]
    if drivers := filters.get("driver"):
        found = found if "local" in drivers else []
    if names := filters.get("name"):
        matches = patterns.named(names)
        found = [volume for volume in found if matches(volume.name)]
    found = [volume for volume in found if all(_has(volume, label) for label in filters.get("label", ()))]
    return [volume for volume in found if not any(_has(volume, label) for label in filters.get("label!", ()))]


def _has(volume: Volume, label: str) -> bool:
    name, equals, value = label.partition("=")
    found = volume.labels.get(name)
    return found is not None and (not equals or found == value)


def flag(name: str, value: str) -> bool:
    """A filter that says yes or no; `InvalidParameter`."""
    if value.lower() in ("1", "true"):
        return True
    if value.lower() in ("0", "false"):
        return False
    raise InvalidParameter(f"invalid filter '{name}=[{value[:60]}]'")
