"""`POST /images/{name}/push`, and `POST /havre/v1/images/{name}/push`: a push within limits."""

from __future__ import annotations

import threading

from aiohttp import web

from engine.api import reach
from engine.api.call import Call
from engine.api.reach import AskedReach
from engine.api.render_image import progress_line
from engine.api.router import Routes
from engine.api.told import Tell, told
from engine.errors import InvalidParameter
from engine.registry.reference import Reference, names_all

routes = Routes()


@routes.post("/images/{name*}/push")
async def image_push(call: Call) -> web.StreamResponse:
    return await _push(call, AskedReach())


@routes.post("/havre/v1/images/{name*}/push")
async def image_push_within(call: Call) -> web.StreamResponse:
    """A push that goes no further than its `reach` (`engine.api.reach`)."""
    return await _push(call, reach.parse(call.query))


async def _push(call: Call, asked: AskedReach) -> web.StreamResponse:
    name, tag = call.arguments["name"], call.query.text("tag")
    reference = Reference.parse(f"{name}:{tag}" if tag else name)
    if reference.digest is not None:
        raise InvalidParameter("cannot push a digest reference: name the tag to push")
    # Without a tag anywhere, all of the repository's are meant.
    all_tags = not tag and names_all(name)
    auth = call.registry_auth

    def push(tell: Tell, cancel: threading.Event) -> None:
        call.engine.images.push(
            reference,
            all_tags=all_tags,
            auth=auth,
            progress=lambda progress: tell(progress_line(progress)),
            cancel=cancel,
            reach=asked.towards(reference.domain, call.engine.reach),
        )

    return await told(call, push)
