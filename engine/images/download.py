"""A file from a URL, for `docker import URL`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import requests

from engine.errors import InvalidParameter, Unavailable
from engine.images.decompress import STEP
from engine.registry.connections import SocketSwitch, new_session
from engine.registry.failures import unreachable
from engine.registry.patience import NETWORK_ERRORS, Pace, Patience
from engine.registry.transport import environment_options

_HOPS: Final = 5


@dataclass(kw_only=True)
class Download:
    """An open answer as a source of bytes; `total` is 0 where the server does not tell it."""

    url: str
    total: int
    progress: Callable[[int, int], None]
    check: Callable[[], None]
    _pace: Pace
    _read: int = field(default=0, init=False)

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most *size* or `STEP`; `Unavailable` when the connection breaks."""
        self.check()
        try:
            data = self._pace.read(STEP if size < 0 else size)
        except NETWORK_ERRORS as error:
            raise unreachable(urlsplit(self.url).netloc, error, what="server") from error
        self._read += len(data)
        self.progress(self._read, self.total)
        return data


@contextmanager
def downloading(
    url: str, *, progress: Callable[[int, int], None], check: Callable[[], None], patience: Patience | None = None
) -> Iterator[Download]:
    """The file at *url* (http, https; without a scheme http is meant, as in Docker) while the block runs.

    *progress* hears the bytes so far and in all. No credentials are sent anywhere. `InvalidParameter` for another
    scheme, `Unavailable` when it cannot be fetched.
    """
    url = url if "://" in url else f"http://{url}"
    patience = patience or Patience()
    switch = SocketSwitch()
    session = new_session(switch)
    try:
        for _ in range(_HOPS):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
                raise InvalidParameter(f"cannot import from {url[:200]!r}: give an http or https URL without a user")
            response = _get(session, url, parts.netloc, patience)
            with response:
                if response.is_redirect:
                    url = requests.compat.urljoin(url, response.headers["Location"])
                    continue
                if response.status_code >= 400:
                    raise Unavailable(f"cannot import from {url[:200]}: the server says {response.status_code}")
                length = response.headers.get("Content-Length", "")
                yield Download(
                    url=url,
                    total=int(length) if length.isascii() and length.isdigit() else 0,
                    progress=progress,
                    check=check,
                    _pace=Pace(response, peer=parts.netloc, patience=patience),
                )
                return
        raise Unavailable(f"{url[:200]} redirects without end")
    finally:
        session.close()


def _get(session: requests.Session, url: str, host: str, patience: Patience) -> requests.Response:
    options = environment_options(url, verify=True, timeout=(patience.connect, patience.read))
    try:
        return session.get(url, headers={"User-Agent": "havre", "Accept-Encoding": "identity"}, **options)
    except NETWORK_ERRORS as error:
        raise unreachable(host, error, what="server") from error
