"""Blobs that have rotted in the store: told by their digest, and forgotten, so that the next pull brings them again."""

from __future__ import annotations

import hashlib
from typing import Final

from engine.content.store import ContentStore
from engine.errors import DigestMismatch, EngineError
from engine.images.stores import ImageStores
from engine.types import Digest

FORGOTTEN: Final = "forgotten: it is packed again when it is needed, or fetched by the next pull"


def problem(content: ContentStore, digest: Digest) -> str:
    """What is wrong with a blob; empty when nothing is."""
    try:
        with content.open(digest) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except EngineError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if found == digest.hex else f"has the digest sha256:{found}"


def forget(stores: ImageStores, blob: Digest) -> None:
    """Have no image keep *blob*, the compressed copy of a layer, any more."""
    stores.records.drop_blob(blob)
    stores.content.remove(blob)


def require_whole(stores: ImageStores, blob: Digest) -> None:
    """`DigestMismatch` where the compressed layer *blob* has rotted, which is then forgotten."""
    if found := problem(stores.content, blob):
        forget(stores, blob)
        raise DigestMismatch(f"the compressed copy {blob} of a layer {found} on this engine's disk; it is {FORGOTTEN}")
