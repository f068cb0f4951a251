"""`POST /images/create`: a pull, or an import; `POST /havre/v1/images/create`: a pull within limits."""

from __future__ import annotations

import threading

from aiohttp import web

from engine.api import reach
from engine.api.call import Call
from engine.api.reach import AskedReach
from engine.api.render_image import progress_line
from engine.api.router import Routes
from engine.api.routes.archives import image_import
from engine.api.told import Tell, told
from engine.errors import InvalidParameter
from engine.registry.platforms import parse_platform
from engine.registry.reference import Reference, names_all

routes = Routes()


@routes.post("/images/create")
async def image_create(call: Call) -> web.StreamResponse:
    if call.query.text("fromSrc"):
        return await image_import(call)
    return await _pull(call, AskedReach())


@routes.post("/havre/v1/images/create")
async def image_create_within(call: Call) -> web.StreamResponse:
    """A pull that goes no further than its `reach` (`engine.api.reach`)."""
    return await _pull(call, reach.parse(call.query))


async def _pull(call: Call, asked: AskedReach) -> web.StreamResponse:
    reference, all_tags = _reference(call)
    platform = parse_platform(call.query.text("platform"))
    auth = call.registry_auth

    def pull(tell: Tell, cancel: threading.Event) -> None:
        images = call.engine.images
        (images.pull_all if all_tags else images.pull)(
            reference,
            platform=platform,
            auth=auth,
            progress=lambda progress: tell(progress_line(progress)),
            cancel=cancel,
            reach=asked.towards(reference.domain, call.engine.reach),
        )

    return await told(call, pull)


def _reference(call: Call) -> tuple[Reference, bool]:
    """What to pull, and whether every tag is meant: it is where neither name nor parameter has one."""
    name, tag = call.query.text("fromImage"), call.query.text("tag")
    if not name:
        raise InvalidParameter("fromImage: name the image to pull")
    if tag:
        return Reference.parse(f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"), False
    return Reference.parse(name), names_all(name)
