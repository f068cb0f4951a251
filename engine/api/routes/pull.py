"""`POST /images/create`: a pull and its progress."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from aiohttp import web

from engine.api.call import Call, begin_stream, encode
from engine.api.render_image import pull_line
from engine.api.router import Routes
from engine.api.status import status_of
from engine.errors import EngineError, InvalidParameter, NotImplementedHere
from engine.images.model import LayerProgress, Message
from engine.registry.auth import RegistryAuth
from engine.registry.reference import Reference
from engine.types import Platform

routes = Routes()


@routes.post("/images/create")
async def image_create(call: Call) -> web.StreamResponse:
    if call.query.text("fromSrc"):
        raise NotImplementedHere("importing images is not supported by this engine yet")
    reference = _reference(call)
    platform = parse_platform(call.query.text("platform"))
    auth = RegistryAuth.from_header(call.request.headers.get("X-Registry-Auth", ""))
    cancel = threading.Event()

    def pull(tell: Callable[[LayerProgress | Message | None], None]) -> None:
        try:
            call.engine.images.pull(reference, platform=platform, auth=auth, progress=tell, cancel=cancel)
        finally:
            tell(None)

    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[LayerProgress | Message | None] = asyncio.Queue()

    def tell(progress: LayerProgress | Message | None) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, progress)

    running = asyncio.ensure_future(call.workers.pull(pull, tell))
    try:
        return await _stream(call, queue, running)
    except BaseException:
        # The client has left: nobody waits for this pull any more.
        cancel.set()
        running.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise


async def _stream(
    call: Call, queue: asyncio.Queue[LayerProgress | Message | None], running: asyncio.Future[None]
) -> web.StreamResponse:
    """The lines as they come. A failure before the first of them is an answer with a status of its own."""
    progress = await queue.get()
    if progress is None:
        await running
        return await begin_stream(call)
    response = await begin_stream(call)
    while progress is not None:
        lines = [_line(pull_line(progress))]
        progress = None
        ended = False
        while not queue.empty():
            progress = queue.get_nowait()
            if progress is None:
                ended = True
                break
            lines.append(_line(pull_line(progress)))
        await response.write(b"".join(lines))
        if ended:
            break
        progress = await queue.get()
    try:
        await running
    except EngineError as error:
        await response.write(
            _line({"errorDetail": {"code": status_of(error), "message": str(error)}, "error": str(error)})
        )
    return response


def parse_platform(text: str) -> Platform | None:
    """`linux/arm64/v8`; `None` where there is none."""
    if not text:
        return None
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(parts):
        raise InvalidParameter(f"platform: {text[:60]!r}: expected os/architecture or os/architecture/variant")
    if len(parts) == 1:
        parts = ["linux", parts[0]]
    return Platform(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) > 2 else "")


def _reference(call: Call) -> Reference:
    name, tag = call.query.text("fromImage"), call.query.text("tag")
    if not name:
        raise InvalidParameter("fromImage: name the image to pull")
    if not tag:
        return Reference.parse(name)
    return Reference.parse(f"{name}@{tag}" if ":" in tag else f"{name}:{tag}")


def _line(document: object) -> bytes:
    return encode(document)[:-1] + b"\r\n"
