"""Refuses bodies that are too large while they come.

Daphne, and Twisted below it, write a whole body to the disk before anybody asks who sends it: a stranger could fill
that. So a body may be as large as a form or a piece of an archive is (`SMALL`); the door for files of containers takes
larger ones, up to `settings.UPLOAD_LIMIT`, where the address has a permit from a page and while the disk has room.

A body that is refused is read on and forgotten, so that the browser shows the answer.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import daphne.http_protocol
from daphne.http_protocol import WebRequest
from django.conf import settings
from django.core import signing

if TYPE_CHECKING:
    from webui.accounts.models import User

SMALL: Final = 6 * 1024 * 1024
"""Bytes: a little more than Django reads into memory (`DATA_UPLOAD_MAX_MEMORY_SIZE`)."""
_AROUND: Final = 1024 * 1024
"""Bytes of a form around its files."""
_COPIES: Final = 3
"""How often a file lies on the disk: as Twisted's, as Django's body, and as the file in it."""
_SPARE: Final = 1_000_000_000
"""Bytes that are left free."""
_DOOR: Final = re.compile(rb"/e/[-\w]+/containers/[^/?]+/files/upload/\?(.*)")
_SALT: Final = "large-body"
_REFUSALS: Final = {
    413: (
        b"Content Too Large",
        "More was sent than is taken here. Open the page anew and send less at once, or raise HAVRE_UPLOAD_LIMIT.",
    ),
    507: (b"Insufficient Storage", "The site's disk has no room for this. Try again later, or ask an administrator."),
}
_LIFE: Final = 24 * 3600
"""Seconds for which a page may be open before files are sent from it."""


def permit(user: User) -> str:
    """What the address of a large body has as `permit`."""
    return signing.dumps(user.pk, salt=_SALT)


def install() -> None:
    """Have daphne read requests as is said above. Before it listens."""
    daphne.http_protocol.WebRequest = BoundedRequest


class BoundedRequest(WebRequest):  # type: ignore[misc] - Twisted and daphne have no types
    """A request of daphne's whose body ends where it may not be longer."""

    _promised = 0
    """Bytes of all large bodies that are on their way."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._room = SMALL
        self._refused: int | None = None

    def gotLength(self, length: int | None) -> None:  # noqa: N802 - Twisted's name
        """The head is here; *length* is `None` for a body in chunks."""
        if length is not None and length > SMALL:
            self._room, self._refused = length, self._refusal(length)
            if self._refused is None:
                self._promise(length)
        super().gotLength(0 if self._refused else length)

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        self._room -= len(data)
        if self._room < 0:
            self._refused = self._refused or 413
            self.content.seek(0)
            self.content.truncate()
        if self._refused is None:
            super().handleContentChunk(data)

    def process(self) -> Any:
        if self._refused is None:
            return super().process()
        title, words = _REFUSALS[self._refused]
        self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return self.basic_error(self._refused, title, words)

    def _refusal(self, length: int) -> int | None:
        """The status that a body of *length* bytes is refused with."""
        found = _DOOR.fullmatch(self.channel._path)
        if found is None or length > settings.UPLOAD_LIMIT + _AROUND or not _permitted(found[1]):
            return 413
        wanted = (BoundedRequest._promised + length) * _COPIES + _SPARE
        return None if wanted < shutil.disk_usage(tempfile.gettempdir()).free else 507

    def _promise(self, length: int) -> None:
        BoundedRequest._promised += length

        def over(_: object) -> None:
            BoundedRequest._promised -= length

        self.notifyFinish().addBoth(over)


def _permitted(query: bytes) -> bool:
    [token, *_] = parse_qs(query.decode("ascii", "replace")).get("permit", [""])
    try:
        signing.loads(token, salt=_SALT, max_age=_LIFE)
    except signing.BadSignature:
        return False
    return True
