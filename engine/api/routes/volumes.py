"""Volumes: listed, made, looked at, removed."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from engine.api import render_volume
from engine.api.call import Call, empty_answer, json_answer
from engine.api.router import Routes

routes = Routes()


@routes.get("/volumes")
async def volume_list(call: Call) -> web.Response:
    found = await call.workers.quick(call.engine.volumes.list, filters=call.query.filters())
    return json_answer({"Volumes": [render_volume.volume(each) for each in found], "Warnings": None})


@routes.post("/volumes/create")
async def volume_create(call: Call) -> web.Response:
    body = await call.body()

    def make() -> dict[str, Any]:
        return render_volume.volume(
            call.engine.volumes.create(
                name=body.text("Name") or None,
                driver=body.text("Driver") or "local",
                options=body.text_map("DriverOpts"),
                labels=body.text_map("Labels"),
            )
        )

    return json_answer(await call.workers.patient(make), status=201)


@routes.post("/volumes/prune")
async def volume_prune(call: Call) -> web.Response:
    pruned = await call.workers.patient(call.engine.volumes.prune, filters=call.query.filters())
    return json_answer({"VolumesDeleted": list(pruned.names) or None, "SpaceReclaimed": pruned.reclaimed})


@routes.get("/volumes/{name}")
async def volume_inspect(call: Call) -> web.Response:
    return json_answer(render_volume.volume(await call.workers.quick(call.engine.volumes.get, call.arguments["name"])))


@routes.delete("/volumes/{name}")
async def volume_remove(call: Call) -> web.Response:
    await call.workers.patient(call.engine.volumes.remove, call.arguments["name"], force=call.query.flag("force"))
    return empty_answer()
