"""The files of containers: `/archive`, `/changes`, `/export`, and `/commit`."""

from __future__ import annotations

import base64
import json
import stat
from typing import Final

from aiohttp import web

from engine.api import create_config
from engine.api.body import RequestBody, ResponseBody
from engine.api.call import COMMON_HEADERS, Call, empty_answer, json_answer
from engine.api.fields import canonical
from engine.api.router import Routes
from engine.build.changes import change_of
from engine.containers.files.roots import PathStat
from engine.errors import InvalidParameter
from engine.registry.reference import Reference
from engine.types import rfc3339

routes = Routes()

_TAR: Final = "application/x-tar"
_GO_MODES: Final = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
"""Go's `fs.FileMode`, which is not stat(2)'s."""
_GO_BITS: Final = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


@routes.add("HEAD", "/containers/{id}/archive")
async def archive_stat(call: Call) -> web.Response:
    found = await call.workers.patient(call.engine.files.stat, call.arguments["id"], call.query.text("path"))
    return web.Response(headers={**COMMON_HEADERS, "X-Docker-Container-Path-Stat": path_stat(found)})


@routes.get("/containers/{id}/archive")
async def archive_get(call: Call) -> web.StreamResponse:
    answer = ResponseBody(call, content_type=_TAR)

    def send() -> None:
        with call.engine.files.archive(call.arguments["id"], call.query.text("path")) as (found, chunks):
            answer.begin({"X-Docker-Container-Path-Stat": path_stat(found)})
            for chunk in chunks:
                answer.write(chunk)

    return await answer.carry(send)


@routes.add("PUT", "/containers/{id}/archive")
async def archive_put(call: Call) -> web.Response:
    query, body = call.query, RequestBody(call.request)

    def unpack() -> None:
        with call.engine.files.extraction(
            call.arguments["id"],
            query.text("path"),
            keep_kinds=query.flag("noOverwriteDirNonDir"),
            own=query.flag("copyUIDGID"),
        ) as sink:
            body.unpack_into(sink)

    await call.workers.transfer(unpack)
    return empty_answer(200)


@routes.get("/containers/{id}/changes")
async def container_changes(call: Call) -> web.Response:
    found = await call.workers.patient(call.engine.files.changes, call.arguments["id"])
    return json_answer([{"Path": change.path, "Kind": int(change.kind)} for change in found] or None)


@routes.get("/containers/{id}/export")
async def container_export(call: Call) -> web.StreamResponse:
    answer = ResponseBody(call, content_type=_TAR)

    def send() -> None:
        with call.engine.files.exported(call.arguments["id"]) as chunks:
            answer.begin({})
            for chunk in chunks:
                answer.write(chunk)

    return await answer.carry(send)


@routes.post("/commit")
async def commit(call: Call) -> web.Response:
    query = call.query
    fields = await call.body()
    create_config.parse(fields)  # an image of wrong types could not be used any more
    body = canonical(fields.document, create_config.DEFAULTS, create_config.OPTIONAL)
    repository, tag = query.text("repo"), query.text("tag")
    if tag and not repository:
        raise InvalidParameter("tag: name the repository as well (repo)")
    reference = Reference.parse(f"{repository}:{tag}" if tag else repository) if repository else None
    if reference is not None and reference.digest is not None:
        raise InvalidParameter("repo: cannot commit to a digest reference")
    image_id = await call.workers.patient(
        call.engine.commits.commit,
        query.text("container"),
        reference=reference,
        comment=query.text("comment"),
        author=query.text("author"),
        pause=query.flag("pause", default=True),
        change=change_of(line for part in query.texts("changes") for line in part.split("\n")),
        config=body,
    )
    return json_answer({"Id": str(image_id)}, status=201)


def path_stat(found: PathStat) -> str:
    """The header's value: base64 of JSON."""
    mode = stat.S_IMODE(found.mode) & 0o777 | _GO_MODES.get(stat.S_IFMT(found.mode), 0)
    mode |= sum(bit for own, bit in _GO_BITS.items() if found.mode & own)
    document = {
        "name": found.name,
        "size": found.size,
        "mode": mode,
        "mtime": rfc3339(found.modified),
        "linkTarget": found.link_target,
    }
    return base64.b64encode(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")).decode("ascii")
