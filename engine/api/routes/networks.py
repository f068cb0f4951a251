"""Networks: listed and looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from engine.api import render_network
from engine.api.call import Call, json_answer
from engine.api.router import Routes
from engine.errors import Forbidden, InvalidParameter, NotImplementedHere
from engine.networks.model import Network

routes = Routes()

_FILTERS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})


@routes.get("/networks")
async def network_list(call: Call) -> web.Response:
    filters = call.query.filters()
    if unknown := filters.keys() - _FILTERS:
        raise InvalidParameter(f"invalid filter '{min(unknown)[:60]}'")

    def collect() -> list[dict[str, Any]]:
        bridge = call.engine.config.bridge
        return [
            render_network.network(network, containers={}, bridge=bridge)
            for network in call.engine.networks.list()
            if _wanted(network, filters)
        ]

    return json_answer(await call.workers.quick(collect))


@routes.get("/networks/{id}")
async def network_inspect(call: Call) -> web.Response:
    def look() -> dict[str, Any]:
        engine = call.engine
        network = engine.networks.get(call.arguments["id"])
        names = {container.id: container.name for container in engine.containers.list()}
        members = render_network.members(engine.networks.endpoints(network.id), names)
        return render_network.network(network, containers=members, bridge=engine.config.bridge)

    return json_answer(await call.workers.quick(look))


@routes.post("/networks/create")
@routes.post("/networks/{id}/connect")
@routes.post("/networks/{id}/disconnect")
async def not_here(_call: Call) -> web.Response:
    raise NotImplementedHere("user-defined networks are not supported by this engine yet: use bridge, host or none")


@routes.post("/networks/prune")
async def network_prune(_call: Call) -> web.Response:
    return json_answer({"NetworksDeleted": None})


@routes.delete("/networks/{id}")
async def network_remove(call: Call) -> web.Response:
    network = await call.workers.quick(call.engine.networks.get, call.arguments["id"])
    raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")


def _wanted(network: Network, filters: Mapping[str, tuple[str, ...]]) -> bool:
    return all(any(_admits(network, key, value) for value in values) for key, values in filters.items() if values)


def _admits(network: Network, key: str, value: str) -> bool:
    match key:
        case "driver":
            return network.driver == value
        case "id":
            return network.id.startswith(value)
        case "name":
            return value in network.name
        case "scope":
            return value == "local"
        case "type":
            return value == "builtin"
        case "dangling":
            return value.lower() not in ("1", "true")
        case _:
            return _labelled(network.labels, value)


def _labelled(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)
