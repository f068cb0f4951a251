"""What kept a container from starting, where the page can say more than the engine's words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from webui import gateway

if TYPE_CHECKING:
    from webui.environments.models import Environment

_TAKEN: Final = re.compile(
    r"Bind for \S*:(?P<ours>\d+) failed: port is already allocated"
    r"|listen \S+ \S*:(?P<other>\d+): bind: address already in use"
)
"""Docker's words: the first where a container has the port, the second where another program of the host has it."""


@dataclass(frozen=True, slots=True)
class PortTaken:
    """A port of the host that the container wants, and the container that has it; `None` for another program."""

    port: int
    holder: gateway.ContainerSummary | None


def port_taken(*, environment: Environment, container: gateway.ContainerDetail) -> PortTaken | None:
    """Who has the port for want of which *container* did not start; `None` where it failed for another reason."""
    found = None if container.running else _TAKEN.search(container.state.error)
    if found is None:
        return None
    port = int(found["ours"] or found["other"])
    with gateway.client(environment) as client:
        others = [other for other in client.containers() if other.id != container.id]
    return PortTaken(port, next((other for other in others if any(p.host_port == port for p in other.ports)), None))
