"""Files from the web: sources of ADD, and contexts that a build names by their address."""

from __future__ import annotations

import email.utils
import hashlib
import posixpath
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urljoin, urlsplit

import requests
import urllib3

from engine.errors import DigestMismatch, EngineError, InvalidParameter, StorageFull, Unavailable
from engine.registry.connections import SocketSwitch, new_session
from engine.registry.patience import Pace, Patience
from engine.registry.reach import PublicReach
from engine.registry.transport import environment_options
from engine.snapshots.helper import FULL
from engine.types import Digest

_PATIENCE: Final = (10.0, 60.0)
"""Seconds to connect, and between two pieces of the answer."""
_HEADS: Final = 60.0
"""Seconds until the answer begins, after all redirects."""
_TICK: Final = 0.1
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


def fetch(
    address: str, place: Path, *, limit: int, check: Callable[[], None], reach: PublicReach | None = None
) -> Download:
    """Fetch *address* into the new file *place*, at most *limit* bytes.

    `InvalidParameter` for an address that is none, an answer that is an error or too long; `Unavailable` when nobody
    answers, or hardly; `Forbidden` for what *reach* does not let through, also where a redirect leads. *check* is
    called by another thread several times a second, and may raise an `EngineError` to stop.
    """
    _check_address(address)
    switch = SocketSwitch()
    with _Watch(switch, check, what=_shown(address)) as watch, new_session(switch, reach=reach) as session:
        try:
            with _answer(session, address) as response:
                watch.answered()
                found = _written(response, address, place, limit)
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            watch.check()
            raise Unavailable(f'Get "{_shown(address)}": {_reason(error)}') from error
        except OSError as error:
            watch.check()
            if error.errno in FULL:
                raise StorageFull(f"no room for {_shown(address)}: {error.strerror}") from error
            raise
        watch.check()
    return found


def verified(download: Download, checksum: str) -> Download:
    """*download*, whose digest is *checksum*; `DigestMismatch` where it is not, `InvalidParameter` for no checksum."""
    expected = Digest.parse(checksum)
    if download.digest != expected:
        raise DigestMismatch(f"digest mismatch {download.digest}: expected {expected}")
    return download


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidParameter(f"{_shown(address)}: an address begins with http:// or https:// and a host")


def _answer(session: requests.Session, address: str) -> requests.Response:
    """The answer in the end, after redirects."""
    # As it is on the server: an archive is not unpacked on its way.
    headers = {"Accept-Encoding": "identity", "User-Agent": "Havre"}
    url = address
    for _ in range(_REDIRECTS + 1):
        response = session.get(url, headers=headers, **environment_options(url, verify=True, timeout=_PATIENCE))
        if not response.is_redirect:
            return response
        response.close()
        url = urljoin(url, response.headers["Location"])
        _check_address(url)
    raise Unavailable(f"{_shown(address)} redirects without end")


def _written(response: requests.Response, address: str, place: Path, limit: int) -> Download:
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        words = f"{response.status_code} {response.reason}".strip()
        raise InvalidParameter(f"failed to GET {_shown(address)} with status {words}")
    digest = hashlib.sha256()
    size = 0
    pace = Pace(response, peer=_shown(address), patience=Patience(read=_PATIENCE[1]))
    with place.open("xb") as file:
        while piece := pace.read(_PIECE):
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


class _Watch:
    """Cuts the connections of *switch* as soon as the build is to stop, or when no answer begins in time.

    Whoever waits for the network cannot look for himself.
    """

    def __init__(self, switch: SocketSwitch, check: Callable[[], None], *, what: str) -> None:
        self._switch = switch
        self._check = check
        self._what = what
        self._done = threading.Event()
        self._answered = False
        self._reason: EngineError | None = None
        self._thread = threading.Thread(target=self._watch, name="download-watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def answered(self) -> None:
        """The head of the answer has come."""
        self._answered = True

    def check(self) -> None:
        """Raise the reason for which the connections were cut, or would be now."""
        self._check()
        if self._reason is not None:
            raise self._reason

    def _watch(self) -> None:
        began = time.monotonic()
        while self._reason is None and not self._done.wait(_TICK):
            try:
                self._check()
            except EngineError as error:
                self._reason = error
            if not self._answered and time.monotonic() - began > _HEADS:
                self._reason = Unavailable(f'Get "{self._what}": no answer began within {_HEADS:.0f} s')
        if self._reason is not None:
            self._switch.turn_off()


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
