"""What is asked of registries: `POST /auth`, `GET /distribution/{name}/json`, `GET /images/search`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from engine.api.call import Call, json_answer
from engine.api.router import Routes
from engine.errors import InvalidParameter
from engine.filters import flag
from engine.registry.auth import RegistryAuth
from engine.registry.reference import Reference
from engine.registry.visits import MOST_RESULTS, SearchResult
from engine.types import Platform

routes = Routes()

_DEFAULT_RESULTS: Final = 25
_FILTERS: Final = frozenset({"is-automated", "is-official", "stars"})


@routes.post("/auth")
async def auth(call: Call) -> web.Response:
    fields = await call.body()
    given = RegistryAuth.from_document(fields.document)
    token = await call.workers.pull(call.engine.distribution.log_in, given)
    return json_answer({"Status": "Login Succeeded", "IdentityToken": token})


@routes.get("/distribution/{name*}/json")
async def distribution(call: Call) -> web.Response:
    reference = Reference.parse(call.arguments["name"])
    found = await call.workers.pull(call.engine.distribution.inspect, reference, auth=call.registry_auth)
    descriptor = found.descriptor
    return json_answer(
        {
            "Descriptor": {
                "mediaType": descriptor.media_type,
                "digest": descriptor.digest,
                "size": descriptor.size,
            },
            "Platforms": [_platform(each) for each in found.platforms] or None,
        }
    )


@routes.get("/images/search")
async def search(call: Call) -> web.Response:
    limit = call.query.integer("limit", _DEFAULT_RESULTS) or _DEFAULT_RESULTS
    if not 1 <= limit <= MOST_RESULTS:
        raise InvalidParameter(f"Limit {limit} is outside the range of [1, {MOST_RESULTS}]")
    filters = call.query.filters()
    if unknown := sorted(filters.keys() - _FILTERS):
        raise InvalidParameter(f"Invalid filter '{unknown[0]}'")
    passes = _filter(filters)
    found = await call.workers.pull(
        call.engine.distribution.search, call.query.text("term"), limit=limit, auth=call.registry_auth
    )
    return json_answer(
        [
            {
                "star_count": each.stars,
                "is_official": each.official,
                "name": each.name,
                "is_automated": each.automated,
                "description": each.description,
            }
            for each in found
            if passes(each)
        ]
    )


def _filter(filters: Mapping[str, Sequence[str]]) -> Callable[[SearchResult], bool]:
    """Whether a result passes *filters*; `InvalidParameter` before anybody is asked where they make no sense."""
    stars = max((_stars(text) for text in filters.get("stars", ())), default=0)
    official = {_flag("is-official", text) for text in filters.get("is-official", ())}
    automated = {_flag("is-automated", text) for text in filters.get("is-automated", ())}
    return lambda found: found.stars >= stars and official <= {found.official} and automated <= {found.automated}


def _stars(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise InvalidParameter(f"Invalid filter 'stars={text[:40]}'")
    return int(text[:20])


def _flag(name: str, text: str) -> bool:
    if (said := flag(text)) is None:
        raise InvalidParameter(f"Invalid filter '{name}=[{text[:40]}]'")
    return said


def _platform(platform: Platform) -> dict[str, Any]:
    document = {"architecture": platform.architecture, "os": platform.os}
    return document | ({"variant": platform.variant} if platform.variant else {})
