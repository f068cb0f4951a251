"""Images out of this engine and into it as files: save, load, import."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from engine.errors import Cancelled
from engine.images import saving
from engine.images.archive import Archive
from engine.images.catalogue import Catalogue
from engine.images.decompress import Source, decompressed
from engine.images.importing import import_image
from engine.images.loading import load
from engine.images.model import ConfigChange, Loaded, Progress
from engine.images.progress import ProgressBoard
from engine.images.stores import ImageStores
from engine.registry import web
from engine.registry.media import Compression
from engine.registry.reference import Reference
from engine.types import Digest, Platform


class ImageArchives:
    """Archives of the images in *stores*. Any thread may call it."""

    def __init__(self, stores: ImageStores, catalogue: Catalogue) -> None:
        self._stores = stores
        self._catalogue = catalogue

    @contextmanager
    def saved(self, names: Sequence[str]) -> Iterator[Iterator[bytes]]:
        """The archive of the images *names* as chunks, while the block runs; they cannot be removed meanwhile.

        `ImageNotFound` before the first chunk. A name without a tag means every tag of its repository.
        """
        with ExitStack() as hold:
            with self._stores.collector.quiet():
                images = saving.chosen(names, self._stores, self._catalogue)
                hold.enter_context(self._stores.collector.holding(images.keys()))
            contents = saving.packaged(images, self._stores, hold=hold, check=_go_on)
            for image_id in images:
                self._catalogue.publish("save", image_id, image_id, image_id)
            yield saving.archive(contents, self._stores)

    def load(self, source: Source, *, progress: Progress, cancel: threading.Event | None = None) -> Sequence[Loaded]:
        """Bring in the images of an archive, which may be compressed; *progress* also hears of each as it comes.

        Each image comes whole or not at all. `InvalidParameter` for an archive that is broken, incomplete or none of
        images, `DigestMismatch` where its parts do not belong together.
        """
        board, check = ProgressBoard(progress), _checker(cancel, "load")
        loaded: list[Loaded] = []
        with self._stores.content.spool() as spool:
            archive = Archive.read(
                decompressed(source, Compression.NONE, limits=self._stores.layers.limits), spool, check=check
            )
            for each in load(archive, self._stores, board=board, check=check):
                loaded.append(each)
                self._catalogue.publish("load", each.image, each.image, each.image)
                board.tell(each)
        return loaded

    def import_(
        self,
        source: Source | str,
        *,
        change: ConfigChange = dict,
        message: str = "",
        platform: Platform | None = None,
        reference: Reference | None = None,
        progress: Progress,
        cancel: threading.Event | None = None,
    ) -> Digest:
        """The id of an image made of a file system's tar, which may be compressed; *source* is the tar or its URL.

        *change* makes its config of an empty one; `InvalidParameter` before anything is read where it cannot.
        """
        board, check = ProgressBoard(progress), _checker(cancel, "import")
        config = change({})
        with ExitStack() as stack:
            if isinstance(source, str):
                # Without a scheme http is meant, as in Docker.
                address = source if "://" in source else f"http://{source}"
                file = stack.enter_context(web.opened(address, check=check))
                board.message(f"Downloading from {web.shown(address)}")
                source = _Counted(file, board)
            image_id = import_image(
                source,
                self._stores,
                config=config,
                message=message,
                platform=platform,
                reference=reference,
                check=check,
            )
        if reference is not None:
            self._catalogue.publish("tag", image_id, reference.familiar, image_id)
        self._catalogue.publish("import", image_id, image_id, image_id)
        return image_id


class _Counted:
    """A file from the web that tells how much of it has come."""

    def __init__(self, file: web.WebFile, board: ProgressBoard) -> None:
        self._file = file
        self._board = board
        self._read = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._read += len(data)
        self._board.importing(self._read, self._file.size or 0)
        return data


def _go_on() -> None:
    """Nobody asks a save to stop: its client leaves, and the next chunk fails."""


def _checker(cancel: threading.Event | None, what: str) -> Callable[[], None]:
    def check() -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled(f"{what} cancelled")

    return check
