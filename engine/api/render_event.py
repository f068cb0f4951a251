"""Events, as the API tells them, and which of them a client wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.events import Event, Kind
from engine.filters import has_label, require_known
from engine.types import SECOND

_OBJECTS: Final = ("container", "image", "network", "volume", "plugin", "daemon", "service", "node", "secret", "config")
KEYS: Final = frozenset({*_OBJECTS, "event", "label", "scope", "type"})


def event(happened: Event) -> dict[str, Any]:
    """A line of `GET /events`; the first three fields are what clients of long ago read."""
    document: dict[str, Any] = {}
    if happened.kind in (Kind.CONTAINER, Kind.IMAGE):
        document = {"status": happened.action, "id": happened.actor}
        if happened.kind is Kind.CONTAINER:
            document["from"] = happened.attributes.get("image", "")
    return document | {
        "Type": str(happened.kind),
        "Action": happened.action,
        "Actor": {"ID": happened.actor, "Attributes": dict(happened.attributes)},
        "scope": "local",
        "time": happened.time // SECOND,
        "timeNano": happened.time,
    }


class Wanted:
    """The filters of one client: any of a filter's values will do, and every filter must be met."""

    def __init__(self, filters: Mapping[str, tuple[str, ...]]) -> None:
        require_known(filters, KEYS)
        self._filters = filters

    def __call__(self, happened: Event) -> bool:
        return all(self._admits(key, values, happened) for key, values in self._filters.items() if values)

    def _admits(self, key: str, values: tuple[str, ...], happened: Event) -> bool:
        if key == "type":
            return happened.kind in values
        if key == "scope":
            return "local" in values
        if key == "event":
            # `exec_create: sh -c …` is asked for as `exec_create`.
            return happened.action in values or happened.action.partition(":")[0] in values
        if key == "label":
            return all(has_label(happened.attributes, value) for value in values)
        if key == "image" and happened.kind is Kind.CONTAINER:
            name = happened.attributes.get("image", "")
            return any(value in (name, name.partition(":")[0]) for value in values)
        if key != happened.kind:
            return False
        name = happened.attributes.get("name", "")
        bare = name.rpartition(":")[0] if happened.kind is Kind.IMAGE else name
        return any(value in (name, bare) or (value and happened.actor.startswith(value)) for value in values)
