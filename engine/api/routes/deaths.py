"""Why containers ended: an addition of Havre's to Docker's API.

`GET /havre/v1/deaths` tells of all, `GET /havre/v1/containers/{id}/deaths` of one, by its id or the name that it had,
also when it has been removed; newest first, at most `limit` (100).
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from engine.api.call import Call, json_answer
from engine.api.render_container import health
from engine.api.router import Routes
from engine.containers.autopsy import Death
from engine.types import rfc3339

routes = Routes()

_MOST: Final = 1000


@routes.get("/havre/v1/deaths")
@routes.get("/havre/v1/containers/{id}/deaths")
async def deaths(call: Call) -> web.Response:
    limit = min(max(call.query.integer("limit") or 100, 1), _MOST)
    found = await call.workers.quick(call.engine.containers.deaths, call.arguments.get("id", ""), limit=limit)
    return json_answer([_death(each) for each in found])


def _death(death: Death) -> dict[str, Any]:
    return {
        "Container": death.container_id,
        "Name": death.name,
        "Image": death.image,
        "Command": list(death.command),
        "Verdict": death.verdict,
        "StartedAt": rfc3339(death.started_at),
        "FinishedAt": rfc3339(death.finished_at),
        "ExitCode": death.exit_code,
        "Signal": death.signal,
        "Error": death.error,
        "Asked": death.asked,
        "OOMKilled": death.oom_killed,
        "OOMKills": death.oom_kills,
        "MemoryPeak": death.memory_peak,
        "MemoryLimit": death.memory_limit,
        "CPUTime": death.cpu_time,
        "RestartCount": death.restart_count,
        "Health": health(death.health) if death.health is not None else None,
        "LastLines": [
            {"Time": rfc3339(line.at), "Stream": "stderr" if line.stream == 2 else "stdout", "Text": line.text}
            for line in death.last_lines
        ],
    }
