"""What is asked of a registry itself: whether it accepts credentials, and which of its images match a word."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

from engine.errors import InvalidParameter, NotFound
from engine.registry.auth import RegistryAuth
from engine.registry.hosts import RegistryHosts
from engine.registry.media import MANIFEST_LIMIT
from engine.registry.patience import Patience
from engine.registry.purpose import visiting
from engine.registry.reference import DEFAULT_DOMAIN, Reference
from engine.registry.transport import Transport
from engine.types import printable

MOST_RESULTS: Final = 100
"""Of one search, as in Docker."""

_INDEX: Final = "index.docker.io"
"""Where Docker Hub answers searches, and how old clients call it."""
_PAGE: Final = 1000
_PAGES: Final = 10
_ABSENT: Final = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """An image that a registry has, as its own index tells of it."""

    name: str
    description: str = ""
    stars: int = 0
    official: bool = False
    automated: bool = False


def registry_domain(address: str) -> str:
    """The registry that *address* means: `host:port`, or a URL as Docker's clients keep it."""
    text = address.strip() or DEFAULT_DOMAIN
    parts = urlsplit(text if "://" in text else f"//{text}")
    domain = parts.netloc.lower()
    if domain in (_INDEX, f"registry-1.{DEFAULT_DOMAIN}", DEFAULT_DOMAIN):
        return DEFAULT_DOMAIN
    try:
        named = Reference.parse(f"{domain}/x").domain == domain
    except InvalidParameter:
        named = False
    if not named:
        raise InvalidParameter(f"serveraddress: {address[:200]!r} is no registry: give host or host:port")
    return domain


def log_in(auth: RegistryAuth, *, hosts: RegistryHosts, patience: Patience | None = None) -> str:
    """Try *auth* at its server; the identity token to be kept instead of the password, where the registry gives one.

    `Unauthorized` when the registry does not accept it, `Unavailable` when nobody answers.
    """
    domain = registry_domain(auth.server_address)
    transport = Transport(
        visiting(domain, what=f"login to {domain}", keep=True), hosts=hosts, auth=auth, patience=patience
    )
    try:
        transport.get("", headers={}).close()
        return transport.identity_token
    finally:
        transport.close()


def search(
    term: str,
    *,
    limit: int,
    auth: RegistryAuth | None = None,
    hosts: RegistryHosts,
    patience: Patience | None = None,
) -> list[SearchResult]:
    """At most *limit* images that match *term*, `host/words` or only words for Docker Hub.

    A registry without a search of its own is asked for all its repositories. `NotFound` when it does not tell either.
    """
    domain, words = _split(term)
    asked = _INDEX if domain == DEFAULT_DOMAIN else domain
    transport = Transport(visiting(asked, what=f"search at {domain}"), hosts=hosts, auth=auth, patience=patience)
    try:
        found = _searched(transport, words, limit)
        if found is None:
            found = _listed(transport, words)
        if found is None:
            raise NotFound(f"registry {domain} offers neither a search nor a list of its repositories")
        return found[:limit]
    finally:
        transport.close()


def _split(term: str) -> tuple[str, str]:
    first, slash, rest = term.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return registry_domain(first), rest
    return DEFAULT_DOMAIN, term


def _searched(transport: Transport, words: str, limit: int) -> list[SearchResult] | None:
    """What Docker's old index API answers, which Docker Hub and some others still offer; `None` where there is none."""
    place = f"../v1/search?q={quote(words, safe='')}&n={limit}"
    response = transport.request("GET", place, headers={"Accept": "application/json"}, accepted=_ABSENT)
    with response:
        if response.status_code in _ABSENT:
            return None
        document = _json(transport.pace(response).read_all(MANIFEST_LIMIT))
    rows = document.get("results")
    if not isinstance(rows, list):
        return None
    return [
        SearchResult(
            name=_text(row.get("name")),
            description=_text(row.get("description")),
            stars=row["star_count"] if type(row.get("star_count")) is int else 0,
            official=row.get("is_official") is True,
            automated=row.get("is_automated") is True,
        )
        for row in rows
        if isinstance(row, dict)
    ]


def _listed(transport: Transport, words: str) -> list[SearchResult] | None:
    """The repositories that have *words* in their name, from the registry's catalogue, as far as that is told."""
    place, found = f"_catalog?n={_PAGE}", []
    for _ in range(_PAGES):
        response = transport.request("GET", place, headers={"Accept": "application/json"}, accepted=_ABSENT)
        with response:
            if response.status_code in _ABSENT:
                return None
            document = _json(transport.pace(response).read_all(MANIFEST_LIMIT))
        rows = document.get("repositories")
        if not isinstance(rows, list):
            return None
        found += [SearchResult(name=_text(name)) for name in rows if isinstance(name, str) and words.lower() in name]
        link = response.links.get("next", {}).get("url", "")
        if not link:
            break
        place = urljoin(response.url, link)
    return found


def _json(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(value: object) -> str:
    return printable(str(value or ""), 1000)
