"""Networks: listed, made, looked at, removed; containers connected to them and taken out."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from engine.api import create_network, create_networks, render_network
from engine.api.call import Call, empty_answer, json_answer
from engine.api.router import Routes
from engine.errors import InvalidParameter, NetworkNotFound

routes = Routes()


@routes.get("/networks")
async def network_list(call: Call) -> web.Response:
    filters = call.query.filters()

    def collect() -> list[dict[str, Any]]:
        return [render_network.network(network, containers={}) for network in call.engine.networks.list(filters)]

    return json_answer(await call.workers.quick(collect))


@routes.post("/networks/create")
async def network_create(call: Call) -> web.Response:
    request = create_network.parse(await call.body())

    def make() -> dict[str, Any]:
        network = call.engine.networks.create(request)
        hidden = call.engine.networks.hidden_by(network)
        return {"Id": network.id, "Warning": render_network.warning(hidden)}

    return json_answer(await call.workers.patient(make), status=201)


@routes.get("/havre/v1/networks/routes")
async def network_routes(call: Call) -> web.Response:
    """What the host reaches otherwise: a network with such a subnet would stand in the way."""
    found = await call.workers.quick(call.engine.networks.routed)
    return json_answer([{"Subnet": str(route.subnet), "Link": route.link} for route in found])


@routes.post("/networks/prune")
async def network_prune(call: Call) -> web.Response:
    removed = await call.workers.patient(call.engine.networks.prune, call.query.filters())
    return json_answer({"NetworksDeleted": list(removed) or None})


@routes.get("/networks/{id*}")
async def network_inspect(call: Call) -> web.Response:
    if call.query.text("scope") not in ("", "local"):
        raise NetworkNotFound(call.arguments["id"])

    def look() -> dict[str, Any]:
        engine = call.engine
        network = engine.networks.get(call.arguments["id"])
        names = {container.id: container.name for container in engine.containers.register.containers()}
        members = render_network.members(engine.networks.endpoints(network.id), names)
        return render_network.network(network, containers=members)

    return json_answer(await call.workers.quick(look))


@routes.delete("/networks/{id*}")
async def network_remove(call: Call) -> web.Response:
    await call.workers.patient(call.engine.networks.remove, call.arguments["id"])
    return empty_answer()


@routes.post("/networks/{id*}/connect")
async def network_connect(call: Call) -> web.Response:
    body = await call.body()
    asked = create_networks.attachment(body.section("EndpointConfig"), network=call.arguments["id"])
    await call.workers.patient(call.engine.containers.networking.connect, _container(body.text("Container")), asked)
    return empty_answer(200)


@routes.post("/networks/{id*}/disconnect")
async def network_disconnect(call: Call) -> web.Response:
    body = await call.body()
    container = _container(body.text("Container"))
    await call.workers.patient(call.engine.containers.networking.disconnect, container, call.arguments["id"])
    return empty_answer(200)


def _container(text: str) -> str:
    if not text:
        raise InvalidParameter('invalid name or ID supplied: ""')
    return text
