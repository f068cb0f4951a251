"""Files from the web, on disk: sources of ADD, and contexts that a build names by their address."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import DigestMismatch, InvalidParameter, StorageFull
from engine.registry import web
from engine.registry.reach import PublicReach
from engine.snapshots.helper import FULL
from engine.types import Digest

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


def is_web(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def fetch(
    address: str, place: Path, *, limit: int, check: Callable[[], None], reach: PublicReach | None = None
) -> Download:
    """Fetch *address* into the new file *place*, at most *limit* bytes.

    `InvalidParameter` for an answer that is too long, `StorageFull`; others are those of `web.opened`.
    """
    digest = hashlib.sha256()
    size = 0
    with web.opened(address, check=check, reach=reach) as source:
        try:
            with place.open("xb") as file:
                while piece := source.read(_PIECE):
                    size += len(piece)
                    if size > limit:
                        raise InvalidParameter(
                            f"{web.shown(address)} is longer than the {limit} bytes that are allowed"
                        )
                    digest.update(piece)
                    file.write(piece)
        except OSError as error:
            if error.errno in FULL:
                raise StorageFull(f"no room for {web.shown(address)}: {error.strerror}") from error
            raise
        return Download(
            path=place,
            name=source.name,
            modified=source.modified,
            digest=Digest("sha256:" + digest.hexdigest()),
        )


def verified(download: Download, checksum: str) -> Download:
    """*download*, whose digest is *checksum*; `DigestMismatch` where it is not, `InvalidParameter` for no checksum."""
    expected = Digest.parse(checksum)
    if download.digest != expected:
        raise DigestMismatch(f"digest mismatch {download.digest}: expected {expected}")
    return download
