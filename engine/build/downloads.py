"""Files from the web: sources of ADD, and contexts that a build names by their address."""

from __future__ import annotations

import email.utils
import hashlib
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import requests
import urllib3

from engine.errors import DigestMismatch, InvalidParameter, StorageFull, Unavailable
from engine.snapshots.helper import FULL
from engine.types import Digest

_PATIENCE: Final = (10.0, 60.0)
"""Seconds to connect, and between two pieces of the answer."""
_REDIRECTS: Final = 10
_PIECE: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What was fetched."""

    path: Path
    name: str
    """The last part of its address's path, empty where there is none."""
    modified: int
    """Seconds since the epoch as the server says; 0 where it does not."""
    digest: Digest
    kind: str
    """The answer's media type."""


def is_web(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def fetch(address: str, place: Path, *, limit: int, check: Callable[[], None]) -> Download:
    """Fetch *address* into the new file *place*, at most *limit* bytes.

    `InvalidParameter` for an address that is none, an answer that is an error or too long; `Unavailable` when nobody
    answers. *check* is called for each piece and may raise to stop.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidParameter(f"{_shown(address)}: an address begins with http:// or https:// and a host")
    try:
        with requests.Session() as session:
            session.max_redirects = _REDIRECTS
            # As it is on the server: an archive is not unpacked on its way.
            headers = {"Accept-Encoding": "identity", "User-Agent": "Havre"}
            with session.get(address, stream=True, timeout=_PATIENCE, headers=headers) as response:
                return _written(response, address, place, limit, check)
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Unavailable(f'Get "{_shown(address)}": {_reason(error)}') from error
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull(f"no room for {_shown(address)}: {error.strerror}") from error
        raise


def verified(download: Download, checksum: str) -> Download:
    """*download*, whose digest is *checksum*; `DigestMismatch` where it is not, `InvalidParameter` for no checksum."""
    expected = Digest.parse(checksum)
    if download.digest != expected:
        raise DigestMismatch(f"digest mismatch {download.digest}: expected {expected}")
    return download


def _written(response: requests.Response, address: str, place: Path, limit: int, check: Callable[[], None]) -> Download:
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        words = f"{response.status_code} {response.reason}".strip()
        raise InvalidParameter(f"failed to GET {_shown(address)} with status {words}")
    digest = hashlib.sha256()
    size = 0
    with place.open("xb") as file:
        for piece in response.raw.stream(_PIECE, decode_content=False):
            check()
            size += len(piece)
            if size > limit:
                raise InvalidParameter(f"{_shown(address)} is longer than the {limit} bytes that are allowed")
            digest.update(piece)
            file.write(piece)
    told = response.headers.get("Content-Length", "")
    if told.isdecimal() and int(told) != size:
        raise Unavailable(f"{_shown(address)}: {size} of {told} bytes came, then the connection ended")
    return Download(
        path=place,
        name=posixpath.basename(unquote(urlsplit(address).path)),
        modified=_modified(response.headers.get("Last-Modified", "")),
        digest=Digest("sha256:" + digest.hexdigest()),
        kind=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
    )


def _modified(text: str) -> int:
    try:
        return max(0, int(email.utils.parsedate_to_datetime(text).timestamp()))
    except ValueError:
        return 0


def _shown(address: str) -> str:
    """*address* without a password."""
    parts = urlsplit(address)
    return address.replace(f"{parts.netloc}", parts.netloc.rpartition("@")[2], 1)[:300]


def _reason(error: BaseException) -> str:
    """The words of the operating system below those of the libraries."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OSError) and current.strerror:
            return current.strerror.lower()
        reason = getattr(current, "reason", None)
        inner = current.args[0] if current.args and isinstance(current.args[0], BaseException) else None
        current = reason if isinstance(reason, BaseException) else inner or current.__cause__ or current.__context__
    return str(error)[:300]
