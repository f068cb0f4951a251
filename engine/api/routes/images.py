"""Images: listed, looked at, tagged, removed."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from engine.api import render_image
from engine.api.call import Call, empty_answer, json_answer
from engine.api.router import Routes
from engine.errors import InvalidParameter
from engine.registry.reference import Reference

routes = Routes()


@routes.get("/images/json")
async def image_list(call: Call) -> web.Response:
    everything, filters = call.query.flag("all"), call.query.filters()
    if name := call.query.text("filter"):
        filters = {**filters, "reference": (name,)}  # before API 1.25
    shared, counted = call.query.flag("shared-size"), call.query.flag("container-count")

    def collect() -> list[dict[str, Any]]:
        images, uses = call.engine.images, call.engine.containers.uses
        sizes = {each.image.id: each.shared for each in images.usage(in_use=uses).images} if shared else {}
        return [
            render_image.summary(
                image,
                version=call.version,
                containers=len(uses(image.id)) if counted else -1,
                shared=sizes.get(image.id, -1),
            )
            for image in images.list(all=everything, filters=filters)
        ]

    return json_answer(await call.workers.quick(collect))


@routes.post("/images/prune")
async def image_prune(call: Call) -> web.Response:
    pruned = await call.workers.patient(
        call.engine.images.prune, filters=call.query.filters(), in_use=call.engine.containers.uses
    )
    return json_answer(
        {
            "ImagesDeleted": [render_image.removed(line) for line in pruned.lines] or None,
            "SpaceReclaimed": pruned.reclaimed,
        }
    )


@routes.get("/havre/v1/images/usage")
async def image_usage(call: Call) -> web.Response:
    """What images take of the disk, told exactly: Docker's own numbers leave compressed layers out."""
    usage = await call.workers.patient(call.engine.images.usage, in_use=call.engine.containers.uses)
    return json_answer(render_image.store_usage(usage))


@routes.post("/havre/v1/images/freed")
async def image_freed(call: Call) -> web.Response:
    """What removing `Images`, names or ids, would free; nothing is removed."""
    names = (await call.body()).texts("Images")
    return json_answer({"Freed": await call.workers.patient(call.engine.images.freed, names)})


@routes.get("/images/{name*}/json")
async def image_inspect(call: Call) -> web.Response:
    def look() -> dict[str, Any]:
        engine = call.engine
        image = engine.images.get(call.arguments["name"])
        return render_image.inspect(
            image,
            raw_config=json.loads(engine.images.raw_config(image.id)),
            layers_directory=str(engine.config.root / "layers"),
        )

    return json_answer(await call.workers.quick(look))


@routes.get("/images/{name*}/history")
async def image_history(call: Call) -> web.Response:
    lines = await call.workers.quick(call.engine.images.history, call.arguments["name"])
    return json_answer([render_image.history_line(line) for line in lines])


@routes.post("/images/{name*}/tag")
async def image_tag(call: Call) -> web.Response:
    repository, tag = call.query.text("repo"), call.query.text("tag")
    if not repository:
        raise InvalidParameter("repo: name the repository of the new tag")
    reference = Reference.parse(f"{repository}:{tag}" if tag else repository)
    await call.workers.quick(call.engine.images.tag, call.arguments["name"], reference)
    return empty_answer(201)


@routes.delete("/images/{name*}")
async def image_remove(call: Call) -> web.Response:
    lines = await call.workers.patient(
        call.engine.images.remove,
        call.arguments["name"],
        force=call.query.flag("force"),
        prune=not call.query.flag("noprune"),
        in_use=call.engine.containers.uses,
    )
    return json_answer([render_image.removed(line) for line in lines])
