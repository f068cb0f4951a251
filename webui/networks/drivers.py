"""The kinds of networks that people can make, each in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

LINES: Final[Mapping[str, str | Promise]] = {
    "bridge": _("A network of this host's own. Containers in it find each other by name; ports lead in from outside."),
    "macvlan": _("Each container is a machine of its own in your LAN. Only this host itself cannot reach it."),
    "ipvlan": _("As macvlan, but all share the parent's MAC address: for switches and Wi-Fi that allow only one."),
    "overlay": _("One network over several hosts of a cluster, as if they stood on one switch."),
}

MISSING: Final[Mapping[str, str | Promise]] = {
    "macvlan": _("This engine has none."),
    "ipvlan": _("This engine has none. Macvlan does the same, with a MAC address for each container."),
    "overlay": _(
        "Several engines must know of each other first: start each with HAVRE_CLUSTER_URL, the Redis that they share. "
        "Docker's engines join a swarm instead."
    ),
}
"""Why an engine offers no networks of a kind."""

MACVLAN_MODES: Final = (
    ("", _("bridge: they reach each other directly")),
    ("private", _("private: they never reach each other")),
    ("vepa", _("vepa: by way of a switch that sends back")),
    ("passthru", _("passthru: one container takes the parent whole")),
)

IPVLAN_MODES: Final = (
    ("", _("l2: on the parent's own segment")),
    ("l3", _("l3: routed, without broadcasts")),
    ("l3s", _("l3s: routed, seen by the host's firewall")),
)


def line(driver: str) -> str | Promise:
    return LINES.get(driver, _("By a plugin of the engine; its own options go below."))
