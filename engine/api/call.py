"""One request on its way to a handler, and the answers that handlers give."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from engine.api.connection import connection_of
from engine.api.fields import Fields, decode
from engine.api.query import Query
from engine.api.version import NEWEST, PRODUCT_VERSION, ApiVersion, text
from engine.api.workers import Workers
from engine.errors import InvalidParameter
from engine.registry.auth import RegistryAuth

if TYPE_CHECKING:
    from engine.engine import Engine

_QUICK: Final = 64 * 1024
"""Bytes of a body that is decoded at once: a container's config with its seccomp profile has some 50 KiB."""
COMMON_HEADERS: Final = {
    "Api-Version": text(NEWEST),
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"Havre/{PRODUCT_VERSION} (linux)",
}
JSON_HEADERS: Final = {**COMMON_HEADERS, "Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request: what it asks of which engine."""

    request: web.BaseRequest
    engine: Engine
    workers: Workers
    version: ApiVersion
    query: Query
    arguments: Mapping[str, str]
    """What the names in the route's pattern stand for."""
    starting: dict[str, asyncio.Future[None]]
    """Exec sessions whose client has its stream, but whose process is still on its way; done when it is there."""
    streams: set[asyncio.Task[Any]]
    """The tasks of answers that have no end of their own: a server that stops ends them."""

    @property
    def registry_auth(self) -> RegistryAuth | None:
        """What the client signs in to a registry with."""
        return RegistryAuth.from_header(self.request.headers.get("X-Registry-Auth", ""))

    def becomes_stream(self) -> None:
        """Note that the answer may go on for as long as the client likes."""
        task = asyncio.current_task()
        if task is not None:
            self.streams.add(task)
            task.add_done_callback(self.streams.discard)

    async def body(self) -> Fields:
        """The JSON object of the body; an empty one where there is no body."""
        if (connection := connection_of(self.request)) is not None:
            connection.give_body_back()
        data = await self.request.read()
        if not data.strip():
            return Fields({})
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise InvalidParameter(f"Content-Type specified ({kind}) must be 'application/json'")
        # A large one, made to be slow, would keep everybody else's answers waiting for a second.
        document = decode(data) if len(data) <= _QUICK else await self.workers.quick(decode, data)
        # Older clients send null where they have nothing to say.
        return Fields({} if document is None else document)


def json_answer(document: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=encode(document), status=status, headers=JSON_HEADERS)


def error_answer(status: int, message: str) -> web.Response:
    if status == 304:
        return web.Response(status=status, headers=COMMON_HEADERS)
    return json_answer({"message": message}, status=status)


def empty_answer(status: int = 204) -> web.Response:
    return web.Response(status=status, headers=COMMON_HEADERS)


def encode(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"


def encode_line(document: Any) -> bytes:
    """A line of a stream of documents, ended as dockerd ends it."""
    return encode(document)[:-1] + b"\r\n"


async def begin_stream(
    call: Call, *, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Begin an answer of unknown length: the status and the headers are on their way when this returns."""
    call.becomes_stream()
    response = web.StreamResponse(headers={**COMMON_HEADERS, "Content-Type": content_type, **(headers or {})})
    response.enable_chunked_encoding()
    await response.prepare(call.request)
    return response
