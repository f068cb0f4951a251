"""Files from the web, by their address: for imports, contexts of builds and sources of ADD.

Redirects are followed one by one, each judged as the first address was. No credentials are sent but those that the
address itself holds, and these to its own host.
"""

from __future__ import annotations

import email.utils
import posixpath
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, Self
from urllib.parse import unquote, urljoin, urlsplit

import requests

from engine.errors import EngineError, InvalidParameter, Unavailable
from engine.registry.connections import SocketSwitch, new_session
from engine.registry.failures import reason
from engine.registry.patience import NETWORK_ERRORS, Pace, Patience
from engine.registry.reach import PublicReach
from engine.registry.transport import environment_options

_PATIENCE: Final = Patience(read=60.0)
_HEADS: Final = 60.0
"""Seconds until the answer begins, after all redirects."""
_TICK: Final = 0.1
_REDIRECTS: Final = 10
_PIECE: Final = 512 * 1024

Check = Callable[[], None]
"""Raises an `EngineError` to stop."""


@contextmanager
def opened(address: str, *, check: Check, reach: PublicReach | None = None) -> Iterator[WebFile]:
    """The file at *address* (http, https) while the block runs.

    *check* is called several times a second, by another thread as well: whoever waits for the network is woken when it
    raises. `InvalidParameter` for an address that is none or an answer that is an error, `Unavailable` when nobody
    answers, or hardly; `Forbidden` for what *reach* does not let through, also where a redirect leads.
    """
    _check_address(address)
    switch = SocketSwitch()
    with _Watch(switch, check, what=shown(address)) as watch, new_session(switch, reach=reach) as session:
        with watch.told():
            response = _answer(session, address)
        with response:
            watch.answered()
            if response.status_code >= HTTPStatus.BAD_REQUEST:
                words = f"{response.status_code} {response.reason}".strip()
                raise InvalidParameter(f"failed to GET {shown(address)} with status {words}")
            yield WebFile(response, address, watch)


class WebFile:
    """An open answer as a source of bytes."""

    def __init__(self, response: requests.Response, address: str, watch: _Watch) -> None:
        headers = response.headers
        self.name = posixpath.basename(unquote(urlsplit(address).path))
        """The last part of the address's path, empty where there is none."""
        self.modified = _modified(headers.get("Last-Modified", ""))
        """Seconds since the epoch as the server says; 0 where it does not."""
        length = headers.get("Content-Length", "")
        self.size = int(length) if length.isascii() and length.isdigit() else None
        """Bytes as the server says; `None` where it does not."""
        self._shown = shown(address)
        self._watch = watch
        self._pace = Pace(response, peer=self._shown, patience=_PATIENCE)
        self._came = 0

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most *size* or 512 KiB; empty at the end. `Unavailable` when that comes too early."""
        self._watch.check()
        with self._watch.told():
            data = self._pace.read(_PIECE if size < 0 else size)
        self._came += len(data)
        if not data:
            # A connection that was cut looks like the end.
            self._watch.check()
            if self.size is not None and self._came != self.size:
                raise Unavailable(f"{self._shown}: {self._came} of {self.size} bytes came, then the connection ended")
        return data


def shown(address: str) -> str:
    """*address* without a password, for messages."""
    netloc = urlsplit(address).netloc
    return address.replace(netloc, netloc.rpartition("@")[2], 1)[:300]


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidParameter(f"{shown(address)}: an address begins with http:// or https:// and a host")


def _answer(session: requests.Session, address: str) -> requests.Response:
    """The answer in the end, after redirects."""
    # As it is on the server: an archive is not unpacked on its way.
    headers = {"Accept-Encoding": "identity", "User-Agent": "havre"}
    url = address
    for _ in range(_REDIRECTS + 1):
        options = environment_options(url, verify=True, timeout=(_PATIENCE.connect, _PATIENCE.read))
        response = session.get(url, headers=headers, **options)
        if not response.is_redirect:
            return response
        response.close()
        url = urljoin(url, response.headers["Location"])
        _check_address(url)
    raise Unavailable(f"{shown(address)} redirects without end")


class _Watch:
    """Cuts the connections of *switch* as soon as *check* raises, or when no answer begins in time.

    Whoever waits for the network cannot look for himself.
    """

    def __init__(self, switch: SocketSwitch, check: Check, *, what: str) -> None:
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

    @contextmanager
    def told(self) -> Iterator[None]:
        """Failures of the network as engine errors; as the reason, where they come of a cut."""
        try:
            yield
        except NETWORK_ERRORS as error:
            self.check()
            raise Unavailable(f'Get "{self._what}": {reason(error).lower()}') from error

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
