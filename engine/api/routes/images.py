"""Images: listed, looked at, tagged, removed."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from engine.api import render_image
from engine.api.call import Call, empty_answer, json_answer
from engine.api.router import Routes
from engine.errors import EngineError, InvalidParameter, NotImplementedHere
from engine.registry.reference import Reference

routes = Routes()


@routes.get("/images/json")
async def image_list(call: Call) -> web.Response:
    everything, filters = call.query.flag("all"), call.query.filters()
    counted = call.query.flag("shared-size") or call.query.flag("container-count")

    def collect() -> list[dict[str, Any]]:
        found = call.engine.images.list(all=everything, filters=filters)
        uses = call.engine.containers.uses
        return [render_image.summary(image, containers=len(uses(image.id)) if counted else -1) for image in found]

    return json_answer(await call.workers.quick(collect))


@routes.post("/images/prune")
async def image_prune(call: Call) -> web.Response:
    filters = call.query.filters()
    if unknown := filters.keys() - {"dangling", "label"}:
        raise NotImplementedHere(f"prune: the filter {min(unknown)!r} is not supported by this engine yet")
    only_dangling = not set(filters.get("dangling", ())) & {"0", "false"}
    wanted = {"label": filters["label"]} if "label" in filters else {}

    def prune() -> dict[str, Any]:
        lines, reclaimed = [], 0
        for image in call.engine.images.list(filters=wanted):
            if (only_dangling and image.tags) or call.engine.containers.uses(image.id):
                continue
            try:
                done = call.engine.images.remove(image.id, force=True, in_use=call.engine.containers.uses)
            except EngineError:
                continue  # used by a container that was made meanwhile
            lines += [render_image.removed(line) for line in done]
            reclaimed += image.size
        return {"ImagesDeleted": lines or None, "SpaceReclaimed": reclaimed}

    return json_answer(await call.workers.patient(prune))


@routes.get("/images/search")
async def image_search(_call: Call) -> web.Response:
    raise NotImplementedHere("searching a registry is not supported by this engine")


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
