"""Containers: listed, created, looked at, removed."""

from __future__ import annotations

from functools import cache
from typing import Any

from aiohttp import web

from engine.api import create, create_host, create_resources, render_container
from engine.api.call import Call, empty_answer, json_answer
from engine.api.router import Routes
from engine.containers.model import Container
from engine.errors import (
    Conflict,
    ContainerNotFound,
    EngineError,
    InvalidParameter,
    NetworkNotFound,
    VolumeNotFound,
)
from engine.registry.platforms import parse_platform
from engine.types import now

routes = Routes()


@routes.get("/containers/json")
async def container_list(call: Call) -> web.Response:
    query, engine = call.query, call.engine
    everything, sized = query.flag("all"), query.flag("size")
    filters, limit = query.filters(), query.integer("limit")

    def collect() -> list[dict[str, Any]]:
        found = engine.containers.list(all=everything, filters=filters, limit=limit if limit and limit > 0 else None)
        instant = now()
        linked = engine.containers.links.names()
        named = cache(engine.images.names)
        rows = []
        for container in found:
            row = render_container.summary(
                container,
                now=instant,
                root=engine.config.root,
                named=named(container.config.image, container.image),
                linked=linked.get(container.id, ()),
            )
            rows.append(row | _sizes(call, container) if sized else row)
        return rows

    return json_answer(await (call.workers.patient if sized else call.workers.quick)(collect))


@routes.post("/containers/create")
async def container_create(call: Call) -> web.Response:
    body = await call.body()
    name = call.query.text("name") or None
    platform = parse_platform(call.query.text("platform"))

    def make() -> tuple[str, list[str]]:
        request = create.parse(body)
        try:
            created = call.engine.containers.create(
                name=name,
                config=request.config,
                host=request.host,
                raw_config=request.raw_config,
                raw_host_config=request.raw_host_config,
                attachments=request.attachments,
                platform=platform,
            )
        except (NetworkNotFound, ContainerNotFound, VolumeNotFound) as error:
            # The CLI takes a 404 here for a missing image, pulls it and tries again.
            raise InvalidParameter(str(error)) from error
        return created.id, [*request.warnings, *created.warnings]

    container_id, warnings = await call.workers.patient(make)
    return json_answer({"Id": container_id, "Warnings": warnings}, status=201)


@routes.post("/containers/prune")
async def container_prune(call: Call) -> web.Response:
    pruned = await call.workers.patient(call.engine.containers.prune, filters=call.query.filters())
    return json_answer({"ContainersDeleted": list(pruned.ids) or None, "SpaceReclaimed": pruned.reclaimed})


@routes.post("/containers/{id}/update")
async def container_update(call: Call) -> web.Response:
    body = await call.body()
    policy = body.section("RestartPolicy")
    changes = create_resources.parse(body)
    restart = create_host.restart_policy(policy) if policy.text("Name") else None
    passed_over = [f"{place} cannot be changed by an update and has been ignored" for place in body.unread()]
    warnings = await call.workers.patient(
        call.engine.containers.update, call.arguments["id"], changes=changes, restart=restart
    )
    return json_answer({"Warnings": [*passed_over, *warnings]})


@routes.get("/containers/{id}/json")
async def container_inspect(call: Call) -> web.Response:
    sized = call.query.flag("size")

    def look() -> dict[str, Any]:
        container = call.engine.containers.get(call.arguments["id"])
        document = render_container.inspect(
            container,
            root=call.engine.config.root,
            lower=call.engine.snapshots.lower(container.id),
            exec_ids=call.engine.containers.exec_ids(container.id),
            links=call.engine.containers.links.told(container),
        )
        return document | _sizes(call, container) if sized else document

    return json_answer(await (call.workers.patient if sized else call.workers.quick)(look))


@routes.delete("/containers/{id}")
async def container_remove(call: Call) -> web.Response:
    query = call.query
    if query.flag("link"):
        raise Conflict("Conflict, cannot remove the default link name of the container")
    await call.workers.patient(
        call.engine.containers.remove, call.arguments["id"], force=query.flag("force"), volumes=query.flag("v")
    )
    return empty_answer()


@routes.delete("/containers/{id}/{alias}")
async def link_remove(call: Call) -> web.Response:
    """A link is named after the container that has it, and its alias."""
    identifier, alias = call.arguments["id"], call.arguments["alias"]
    if not call.query.flag("link"):
        raise ContainerNotFound(f"{identifier}/{alias}")
    await call.workers.quick(call.engine.containers.unlink, identifier, alias)
    return empty_answer()


def _sizes(call: Call, container: Container) -> dict[str, int]:
    engine = call.engine
    written = engine.snapshots.usage(container.id)
    try:
        below = engine.images.get(container.image).size
    except EngineError:
        below = 0  # the image has been removed by force
    return {"SizeRw": written, "SizeRootFs": written + below}
