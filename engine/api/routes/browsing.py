"""The directories of containers: an addition of Havre's to Docker's API, which knows only whole archives.

`GET /havre/v1/containers/{id}/files?path=/srv` answers `{"Path", "Truncated", "Entries": [{"Name", "Text", "Kind",
"Size", "Mode", "Uid", "Gid", "Modified", "Target", "LeadsTo"}]}`, sorted by name, at most `limit` (10,000). `Text` is
false for a name that is no UTF-8: what is told of it then only looks like it.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from engine.api.call import Call, json_answer
from engine.api.router import Routes
from engine.containers.files.browsing import MOST, Entry
from engine.types import rfc3339

routes = Routes()


@routes.get("/havre/v1/containers/{id}/files")
async def files(call: Call) -> web.Response:
    limit = min(max(call.query.integer("limit") or MOST, 1), MOST)
    found = await call.workers.patient(
        call.engine.files.listing, call.arguments["id"], call.query.text("path") or "/", limit=limit
    )
    return json_answer(
        {"Path": found.path, "Truncated": found.truncated, "Entries": [_entry(entry) for entry in found.entries]}
    )


def _entry(entry: Entry) -> dict[str, Any]:
    name = entry.name.decode("utf-8", "replace")
    return {
        "Name": name,
        "Text": name.encode() == entry.name,
        "Kind": entry.kind,
        "Size": entry.size,
        "Mode": entry.mode,
        "Uid": entry.uid,
        "Gid": entry.gid,
        "Modified": rfc3339(entry.modified),
        "Target": entry.target.decode("utf-8", "replace"),
        "LeadsTo": entry.leads_to,
    }
