"""What builds have left, as the API tells it."""

from __future__ import annotations

from typing import Any

from engine.build.pruning import Kept
from engine.types import rfc3339


def kept(each: Kept) -> dict[str, Any]:
    """A row of `GET /system/df`'s `BuildCache`. What images need as well is shared: it is not counted twice."""
    return {
        "ID": each.id,
        "Parent": each.parent,
        "Parents": [each.parent] if each.parent else None,
        "Type": each.kind,
        "Description": each.description,
        "InUse": each.in_use,
        "Shared": each.in_use and each.image is not None,
        "Size": each.size,
        "CreatedAt": rfc3339(each.created),
        "LastUsedAt": rfc3339(each.used),
        "UsageCount": each.uses,
    }
