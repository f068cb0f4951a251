"""The body of `POST /networks/create` (Docker Engine API, `NetworkCreate`)."""

from __future__ import annotations

from engine.api.fields import Fields
from engine.errors import Forbidden, InvalidParameter, NotImplementedHere
from engine.networks.creation import NetworkRequest
from engine.networks.ipam import PoolRequest


def parse(body: Fields) -> NetworkRequest:
    """The typed request; what cannot be honoured is an error."""
    for name in ("ConfigOnly", "Ingress"):
        if body.flag(name):
            raise NotImplementedHere(f"{name}: networks of a swarm are not supported")
    if body.section("ConfigFrom").text("Network"):
        raise NotImplementedHere("ConfigFrom: networks made from the configuration of another are not supported")
    scope = body.text("Scope")
    if scope == "swarm":
        raise Forbidden("cannot create a swarm scoped network when swarm is not active")
    if scope not in ("", "local"):
        raise InvalidParameter(f"Scope: expected local, got {scope[:40]!r}")
    ipam = body.section("IPAM")
    return NetworkRequest(
        name=body.text("Name"),
        driver=body.text("Driver") or "bridge",
        pools=tuple(_pool(config) for config in ipam.objects("Config")),
        ipam_driver=ipam.text("Driver"),
        ipam_options=None if ipam.get("Options") is None else ipam.text_map("Options"),
        ipv6=body.flag("EnableIPv6"),
        internal=body.flag("Internal"),
        attachable=body.flag("Attachable"),
        options=body.text_map("Options"),
        labels=body.text_map("Labels"),
    )


def _pool(config: Fields) -> PoolRequest:
    return PoolRequest(
        subnet=config.text("Subnet"),
        ip_range=config.text("IPRange"),
        gateway=config.text("Gateway"),
        reserved=config.text_map("AuxiliaryAddresses") or config.text_map("AuxAddress"),
    )
