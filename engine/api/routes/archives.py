"""Images as files: save, load, import."""

from __future__ import annotations

import threading

from aiohttp import web

from engine.api.body import RequestBody, ResponseBody
from engine.api.call import Call
from engine.api.render_image import progress_line
from engine.api.router import Routes
from engine.api.told import Tell, told
from engine.build.changes import change_of
from engine.errors import InvalidParameter
from engine.images.model import Loaded, Told
from engine.registry.platforms import parse_platform
from engine.registry.reference import Reference

routes = Routes()

_TAR = "application/x-tar"


@routes.get("/images/get")
async def images_get(call: Call) -> web.StreamResponse:
    names = [name for text in call.query.texts("names") for name in text.split(",") if name]
    return await _save(call, names)


@routes.get("/images/{name*}/get")
async def image_get(call: Call) -> web.StreamResponse:
    return await _save(call, [call.arguments["name"]])


async def _save(call: Call, names: list[str]) -> web.StreamResponse:
    answer = ResponseBody(call, content_type=_TAR)

    def send() -> None:
        with call.engine.archives.saved(names) as chunks:
            answer.begin({})
            for chunk in chunks:
                answer.write(chunk)

    return await answer.carry(send)


@routes.post("/images/load")
async def image_load(call: Call) -> web.StreamResponse:
    body, quiet = RequestBody(call.request), call.query.flag("quiet")

    def load(tell: Tell, cancel: threading.Event) -> None:
        def progress(what: Told) -> None:
            if isinstance(what, Loaded) or not quiet:
                tell(progress_line(what))

        call.engine.archives.load(body, progress=progress, cancel=cancel)

    # Docker begins to answer at once: clients look for a failure in the lines, not in the status.
    return await told(call, load, at_once=True, takes_body=True)


async def image_import(call: Call) -> web.StreamResponse:
    query = call.query
    where, repository, tag = query.text("fromSrc"), query.text("repo"), query.text("tag")
    reference = Reference.parse(f"{repository}:{tag}" if tag else repository) if repository else None
    if reference is not None and reference.digest is not None:
        raise InvalidParameter("repo: cannot import digest reference")
    platform = parse_platform(query.text("platform"))
    change = change_of(line for part in query.texts("changes") for line in part.split("\n"))
    body = RequestBody(call.request) if where == "-" else None

    def bring(tell: Tell, cancel: threading.Event) -> None:
        image_id = call.engine.archives.import_(
            body or where,
            change=change,
            message=query.text("message") or f"Imported from {where}",
            platform=platform,
            reference=reference,
            progress=lambda what: tell(progress_line(what)),
            cancel=cancel,
        )
        tell({"status": str(image_id)})

    return await told(call, bring, takes_body=body is not None)
