"""Addresses in documents: how cattrs writes them down and reads them."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import NoneType
from typing import Any, Final, get_args

import cattrs

_READERS: Final[dict[type, Callable[[str], Any]]] = {
    IPv4Address: ip_address,
    IPv6Address: ip_address,
    IPv4Network: ip_network,
    IPv6Network: ip_network,
}


def know_addresses(converter: cattrs.Converter) -> None:
    """Teach *converter* addresses and subnets, alone and as unions of both families or with `None`."""
    for kind in _READERS:
        converter.register_unstructure_hook(kind, str)
    converter.register_structure_hook_func(lambda kind: bool(_kinds(kind)), _read)


def _read(value: str | None, kind: Any) -> Any:
    return None if value is None else _READERS[_kinds(kind)[0]](value)


def _kinds(kind: Any) -> list[type]:
    """The kinds that a type is made of; none where it is made of anything else."""
    parts = [part for part in (get_args(kind) or (kind,)) if part is not NoneType]
    return parts if all(part in _READERS for part in parts) else []
