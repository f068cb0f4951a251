"""The filters of the list of networks, and of prune (Docker Engine API, `NetworkList`, `NetworkPrune`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from engine.errors import InvalidParameter
from engine.filters import flag, has_label, labelled, named, require_known
from engine.networks.creation import PREDEFINED
from engine.networks.model import Network
from engine.types import parse_until

_LISTED: Final = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
_PRUNED: Final = frozenset({"label", "label!", "until"})
_TYPES: Final = ("builtin", "custom")


def filtered(
    networks: Sequence[Network],
    filters: Mapping[str, Collection[str]],
    *,
    used: Callable[[], Collection[str]],
) -> list[Network]:
    """Those of *networks* that every filter admits; *used* tells the ids of those that somebody is in."""
    require_known(filters, _LISTED)
    for value in filters.get("type", ()):
        if value not in _TYPES:
            raise InvalidParameter(f"invalid filter: 'type'='{value[:60]}'")
    found = list(networks)
    if wanted := {_truth(value) for value in filters.get("dangling", ())}:
        in_use = used()
        found = [each for each in found if (each.id not in in_use and each.name not in PREDEFINED) in wanted]
    return [each for each in found if all(_admits(each, key, filters[key]) for key in filters if filters[key])]


def prunable(networks: Sequence[Network], filters: Mapping[str, Collection[str]]) -> list[Network]:
    """Those of *networks* that prune may remove when nobody is in them."""
    require_known(filters, _PRUNED)
    if len(instants := filters.get("until", ())) > 1:
        raise InvalidParameter("more than one until filter specified")
    before = min(map(parse_until, instants), default=None)
    return [
        network
        for network in networks
        if network.name not in PREDEFINED
        and (before is None or network.created < before)
        and labelled(network.labels, filters)
    ]


def _admits(network: Network, key: str, values: Collection[str]) -> bool:
    match key:
        case "driver":
            return network.driver in values
        case "id":
            return any(network.id.startswith(value) for value in values)
        case "name":
            return named(values)(network.name)
        case "scope":
            return network.scope in values
        case "type":
            return ("builtin" if network.name in PREDEFINED else "custom") in values
        case "label":
            return all(has_label(network.labels, value) for value in values)
        case _:
            return True


def _truth(value: str) -> bool:
    if (said := flag(value)) is None:
        raise InvalidParameter('invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")')
    return said
