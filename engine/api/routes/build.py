"""`/build`: images made from Dockerfiles, as the docker CLI's classic builder asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from engine.api import build_options
from engine.api.body import RequestBody, ResponseBody
from engine.api.build_stream import BuildStream
from engine.api.build_transcript import Transcript
from engine.api.call import Call, empty_answer, encode_line, json_answer
from engine.api.grpc import refuse_calls
from engine.api.hijack import Connection
from engine.api.router import Routes
from engine.build.agent import HEADER as KEYS_HEADER
from engine.build.context import ContextSource, from_address, from_archive
from engine.build.dockerfile.errors import DockerfileError, shown
from engine.build.progress import Event
from engine.build.secrets import HEADER
from engine.errors import Cancelled, EngineError, InvalidParameter, NotImplementedHere

routes = Routes()

Write = Callable[[object], None]


class Teller(Protocol):
    """Puts what a build tells into lines."""

    def tell(self, event: Event, /) -> None: ...
    def end(self, error: EngineError, /) -> None: ...


@routes.post("/build")
async def image_build(call: Call) -> web.StreamResponse:
    return await _build(call, lambda write, check: Transcript(write, check=check, quiet=call.query.flag("q")))


@routes.post("/havre/v1/build")
async def image_build_structured(call: Call) -> web.StreamResponse:
    return await _build(call, lambda write, _: BuildStream(write), own=True)


@routes.post("/build/cancel")
async def build_cancel(call: Call) -> web.Response:
    build_id = call.query.text("id")
    if not build_id:
        raise InvalidParameter("id: name the build that is to be stopped")
    await call.workers.quick(call.engine.builds.cancel, build_id)
    return empty_answer()


@routes.post("/build/prune")
async def build_prune(call: Call) -> web.Response:
    keep = call.query.integer("keep-storage") or call.query.integer("reserved-space") or 0
    pruned = await call.workers.patient(
        call.engine.builds.prune, all=call.query.flag("all"), filters=call.query.filters(), keep=max(0, keep)
    )
    return json_answer({"CachesDeleted": list(pruned.ids) or None, "SpaceReclaimed": pruned.reclaimed})


@routes.post("/grpc")
async def buildkit(call: Call) -> web.StreamResponse:
    """buildx speaks with BuildKit here."""
    return await _without_buildkit(call)


@routes.post("/session")
async def session(call: Call) -> web.StreamResponse:
    """A client offers what a build may ask of it. It learns from its `POST /build` that no build asks."""
    return await _without_buildkit(call)


async def _without_buildkit(call: Call) -> web.StreamResponse:
    if call.request.headers.get("Upgrade", "").lower() != "h2c":
        raise NotImplementedHere(build_options.NO_BUILDKIT)
    connection = Connection(call)
    try:
        await connection.upgrade("h2c")
        await refuse_calls(connection, build_options.NO_BUILDKIT)
    finally:
        hijacked = connection.close()
    return hijacked


async def _build(
    call: Call, make: Callable[[Write, Callable[[], None]], Teller], *, own: bool = False
) -> web.StreamResponse:
    """Run a build and send what it tells. An error before anything was told is an answer of its own.

    *own* says that parameters which are Havre's alone count.
    """
    headers = call.request.headers
    options = build_options.parse(
        call.query,
        registries=headers.get("X-Registry-Config", ""),
        secrets=headers.getall(HEADER, ()),
        keys=headers.getall(KEYS_HEADER, ()),
    )
    if own:
        options = build_options.parse_own(options, call.query)
    source = _source(call)
    answer = ResponseBody(call, content_type="application/json")
    cancel, left = threading.Event(), threading.Event()
    begun = False

    def write(document: object) -> None:
        nonlocal begun
        if not begun:
            answer.begin({})
            begun = True
        try:
            answer.write(encode_line(document))
        except (ConnectionError, RuntimeError) as error:
            left.set()
            cancel.set()
            raise Cancelled("nobody listens to the build any more") from error

    def check() -> None:
        if cancel.is_set():
            raise Cancelled("the build was cancelled")

    teller = make(write, check)

    def build() -> None:
        try:
            call.engine.builds.build(
                options, source=source, tell=teller.tell, cancel=cancel, build_id=call.query.text("buildid")
            )
        except ConnectionError as error:
            raise Cancelled("the client has left in the middle of its context") from error
        except EngineError as error:
            if not begun and isinstance(error, DockerfileError):
                raise InvalidParameter(shown(error)) from error
            if not begun:
                raise
            if not left.is_set():
                teller.end(error)

    try:
        return await answer.carry(build)
    except BaseException:
        # The client has left: nobody waits for this any more.
        left.set()
        cancel.set()
        raise


def _source(call: Call) -> ContextSource:
    remote = call.query.text("remote")
    # Older clients say so of a context that they send.
    if remote and remote != "client-session":
        return from_address(remote)
    return from_archive(RequestBody(call.request))
