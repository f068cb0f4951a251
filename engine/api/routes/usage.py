"""`GET /containers/{id}/stats` and `/top`."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from engine.api import render_stats
from engine.api.call import Call, begin_stream, encode, json_answer
from engine.api.router import Routes
from engine.containers.model import Container, Status
from engine.containers.usage import Sample
from engine.errors import ContainerNotFound

routes = Routes()

_INTERVAL: Final = 1.0


@routes.get("/containers/{id}/stats")
async def stats(call: Call) -> web.StreamResponse:
    streaming = call.query.flag("stream", default=True)
    container, sample = await call.workers.quick(_look, call, call.arguments["id"])
    if not streaming:
        before: Sample | None = None
        if sample is not None and not call.query.flag("one-shot"):
            before = sample
            await asyncio.sleep(_INTERVAL)
            container, sample = await call.workers.quick(_look, call, container.id)
        return json_answer(_document(call, container, sample, before))
    response = await begin_stream(call)
    before = None
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        await response.write(encode(_document(call, container, sample, before)))
        before = sample
        due += _INTERVAL
        await asyncio.sleep(max(0.0, due - loop.time()))
        try:
            # A read of some twenty small files: a thread for as long as that, none in between.
            container, sample = await call.workers.quick(_look, call, container.id)
        except ContainerNotFound:
            return response


@routes.get("/containers/{id}/top")
async def top(call: Call) -> web.Response:
    arguments = call.query.text("ps_args") or "-ef"
    table = await call.workers.patient(call.engine.usage.processes, call.arguments["id"], arguments=arguments)
    return json_answer({"Titles": list(table.titles), "Processes": [list(row) for row in table.rows]})


def _look(call: Call, text: str) -> tuple[Container, Sample | None]:
    container = call.engine.containers.get(text)
    runs = container.state.status in (Status.RUNNING, Status.PAUSED)
    return container, call.engine.usage.sample(container) if runs else None


def _document(call: Call, container: Container, sample: Sample | None, before: Sample | None) -> dict[str, object]:
    return render_stats.stats(container, sample, before, memory_of_host=call.engine.usage.memory_of_host)
