"""Volumes, which this engine does not have yet."""

from __future__ import annotations

from aiohttp import web

from engine.api.call import Call, error_answer, json_answer
from engine.api.router import Routes
from engine.errors import NotImplementedHere

routes = Routes()


@routes.get("/volumes")
async def volume_list(_call: Call) -> web.Response:
    return json_answer({"Volumes": [], "Warnings": None})


@routes.post("/volumes/create")
async def volume_create(_call: Call) -> web.Response:
    raise NotImplementedHere("volumes are not supported by this engine yet: bind a host path")


@routes.post("/volumes/prune")
async def volume_prune(_call: Call) -> web.Response:
    return json_answer({"VolumesDeleted": None, "SpaceReclaimed": 0})


@routes.get("/volumes/{name}")
@routes.delete("/volumes/{name}")
async def volume_inspect(call: Call) -> web.Response:
    return error_answer(404, f"get {call.arguments['name']}: no such volume")
