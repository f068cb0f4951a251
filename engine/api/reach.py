"""Parameters of Havre's own routes that hold the engine to public addresses (`engine.registry.reach`).

reach     `any`, or `public`: nothing is fetched from, and nothing sent to, other than public addresses
registry  one that may then be elsewhere, `host[:port]`; repeated
"""

from __future__ import annotations

from typing import Final, NamedTuple

from engine.api.query import Query
from engine.errors import InvalidParameter
from engine.registry.reach import PublicReach

_MOST_NAMES: Final = 100


class AskedReach(NamedTuple):
    """What the parameters say."""

    public_only: bool = False
    registries: frozenset[str] = frozenset()

    def towards(self, registry: str, public: PublicReach) -> PublicReach | None:
        """What *public* becomes for requests to *registry*; `None` is anywhere."""
        return public if self.public_only and registry not in self.registries else None


def parse(query: Query) -> AskedReach:
    """`InvalidParameter` names what is wrong."""
    reach = query.text("reach") or "any"
    if reach not in ("any", "public"):
        raise InvalidParameter(f"reach: expected any or public, got {reach[:40]!r}")
    registries = query.texts("registry")
    if len(registries) > _MOST_NAMES:
        raise InvalidParameter(f"registry: at most {_MOST_NAMES} names")
    return AskedReach(reach == "public", frozenset(registries))
