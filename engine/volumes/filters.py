"""The filters of the list of volumes, and of prune (Docker Engine API, `VolumeList`, `VolumePrune`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from engine.errors import InvalidParameter
from engine.filters import flag, labelled, named, require_known
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
    require_known(filters, _PRUNED if pruning else _LISTED)
    found = list(volumes)
    if dangling := filters.get("dangling"):
        wanted = {truth("dangling", value) for value in dangling}
        found = [volume for volume in found if (volume.name not in used) in wanted]
    if pruning:
        found = [volume for volume in found if volume.name not in used]
    if drivers := filters.get("driver"):
        found = found if "local" in drivers else []
    if names := filters.get("name"):
        matches = named(names)
        found = [volume for volume in found if matches(volume.name)]
    return [volume for volume in found if labelled(volume.labels, filters)]


def truth(name: str, value: str) -> bool:
    """What the filter *name* says, yes or no; `InvalidParameter`."""
    if (said := flag(value)) is None:
        raise InvalidParameter(f"invalid filter '{name}=[{value[:60]}]'")
    return said
