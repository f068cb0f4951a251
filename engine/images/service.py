"""Images: found, listed, pulled, tagged, removed.

An image is a row, the blobs and layers that it needs, and the names by which people call it; its id is its config's
digest. What no image needs any more is removed from the stores at once (`Collector`), and again at start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any, Final

from engine.content.store import ContentStore
from engine.database import Database
from engine.errors import AmbiguousId, EngineError, ImageNotFound, InvalidParameter
from engine.events import EventBus
from engine.images import assembly
from engine.images.catalogue import Catalogue
from engine.images.chains import gone_chains
from engine.images.collector import Collector
from engine.images.filters import filtered, prunable
from engine.images.model import HistoryLine, Image, Progress, PrunedImages, PullResult, Pushed, RemovedImage
from engine.images.pull import Pull
from engine.images.push import Push
from engine.images.records import ImageRecord, ImageRecords
from engine.images.removal import InUse, Remover
from engine.images.stores import ImageStores
from engine.images.transfer import unpack_stored
from engine.images.usage import StoreUsage, alone, measured, with_steps
from engine.registry.auth import RegistryAuth
from engine.registry.hosts import RegistryHosts
from engine.registry.media import MANIFEST_LIMIT
from engine.registry.patience import Patience
from engine.registry.reach import PublicReach
from engine.registry.reference import Reference
from engine.snapshots.layers import LayerStore
from engine.types import Digest, Platform

_LOG: Final = logging.getLogger(__name__)
_CLOSING: Final = 5.0
"""Seconds that `close` waits for pulls and pushes to end."""


class ImageService:
    """The images of one engine. Any thread may call it."""

    def __init__(
        self,
        *,
        database: Database,
        events: EventBus,
        content: ContentStore,
        layers: LayerStore,
        hosts: RegistryHosts | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._database = database
        self._content = content
        self._layers = layers
        self._records = ImageRecords(database)
        self._collector = Collector(self._records, content, layers)
        self.stores = ImageStores(
            database=database,
            records=self._records,
            content=content,
            layers=layers,
            collector=self._collector,
            hosts=hosts or RegistryHosts(),
            patience=patience,
        )
        self.catalogue = Catalogue(self._records, content, events)
        self._errands: set[Pull | Push] = set()
        self._idle = threading.Condition()

    def close(self) -> None:
        """Cancel the pulls and pushes that are under way and wait a moment for them to clean up."""
        with self._idle:
            for errand in self._errands:
                errand.stop()
            self._idle.wait_for(lambda: not self._errands, timeout=_CLOSING)

    def get(self, text: str) -> Image:
        """The image that *text* means: a name, with a tag or digest or neither; an id; the beginning of an id.

        `ImageNotFound` in Docker's words, `AmbiguousId` for a prefix of several, `InvalidParameter` for no reference.
        """
        return self.catalogue.get(text)

    def names(self, text: str, image_id: str) -> bool:
        """Whether *text*, by which *image_id* was found once, still means that image."""
        try:
            return self.catalogue.find(text)[0].id == image_id
        except (ImageNotFound, AmbiguousId, InvalidParameter):
            return False

    def list(
        self,
        *,
        all: bool = False,  # noqa: A002 - Docker's word
        filters: Mapping[str, Collection[str]] | None = None,
    ) -> Sequence[Image]:
        """The images, newest first; without *all* those that are only a step of a build are left out.

        Filters are Docker's `dangling`, `label`, `reference`, `before`, `since`; an unknown one is `InvalidParameter`.
        """
        records = self._records.all()
        parents = {record.parent for record in records}
        wanted = [record for record in records if all or record.references or record.id not in parents]
        shown = [image for record in wanted if (image := self.catalogue.image(record)) is not None]
        found = filtered(shown, filters or {}, find=self.get)
        return sorted(found, key=lambda image: (image.created or 0, image.id), reverse=True)

    def pull(
        self,
        reference: Reference,
        *,
        platform: Platform | None = None,
        auth: RegistryAuth | None = None,
        progress: Progress,
        cancel: threading.Event | None = None,
        reach: PublicReach | None = None,
    ) -> PullResult:
        """Fetch *reference* from its registry, for *platform* or else this host's.

        *reach* limits where that registry may be (`Forbidden`); `None` is anywhere.
        Every digest and diffID is verified. *progress* hears Docker's lines, except the errors. When it fails, or when
        *cancel* is set (`Cancelled`), nothing stays behind. Errors: `ManifestUnknown`, `Unauthorized`, `Unavailable`,
        `DigestMismatch`, `StorageFull`, `InvalidParameter` for an image that this engine cannot use.
        """
        pull = Pull(
            self.stores, reference, all_tags=False, platform=platform, auth=auth, progress=progress, reach=reach
        )
        [result] = self._run_pull(pull, cancel)
        return result

    def pull_all(
        self,
        reference: Reference,
        *,
        platform: Platform | None = None,
        auth: RegistryAuth | None = None,
        progress: Progress,
        cancel: threading.Event | None = None,
        reach: PublicReach | None = None,
    ) -> Sequence[PullResult]:
        """Fetch every tag in the repository of *reference*, as `pull` does; those before a failure stay."""
        pull = Pull(self.stores, reference, all_tags=True, platform=platform, auth=auth, progress=progress, reach=reach)
        return self._run_pull(pull, cancel)

    def push(
        self,
        reference: Reference,
        *,
        all_tags: bool = False,
        auth: RegistryAuth | None = None,
        progress: Progress,
        cancel: threading.Event | None = None,
        reach: PublicReach | None = None,
    ) -> Sequence[Pushed]:
        """Send the image that *reference* names, or with *all_tags* every tag of its repository, to its registry.

        What the registry has is not sent. *progress* hears Docker's lines, except the errors. The image can be found by
        its digest in that repository afterwards. *reach* limits where that registry may be, as of `pull`. Errors:
        `NotFound` where there is no such tag, `Unauthorized`, `Unavailable`, `DigestMismatch`, `Cancelled`.
        """
        push = Push(self.stores, reference, all_tags=all_tags, auth=auth, progress=progress, reach=reach)
        with self._running(push):
            pushed = push.run(cancel)
        self.catalogue.publish("push", reference.familiar, reference.familiar_name)
        return pushed

    def tag(self, text: str, reference: Reference) -> None:
        """Let *reference*, a name with a tag, mean the image *text* from now on."""
        if reference.digest is not None:
            raise InvalidParameter("refusing to create a tag with a digest reference")
        if reference.familiar_name == "sha256":
            raise InvalidParameter("refusing to create an ambiguous tag using digest algorithm as name")
        with self._database.transaction():
            record, _ = self.catalogue.find(text)
            self._records.name(reference, record.id)
        self.catalogue.publish("tag", record.id, reference.familiar, record.id)

    def remove(self, text: str, *, force: bool = False, prune: bool = True, in_use: InUse) -> Sequence[RemovedImage]:
        """Remove a name, and the image with its last name; or an image by id. Docker's rules: `engine.images.removal`.

        An image that is removed by force from under a stopped container keeps its layers until `collect`.
        """
        return self._remove(text, force=force, prune=prune, in_use=in_use)[0]

    def prune(self, *, filters: Mapping[str, Collection[str]], in_use: InUse) -> PrunedImages:
        """Remove the images that no container uses and that *filters* admit (`engine.images.filters.prunable`)."""
        lines: list[RemovedImage] = []
        reclaimed = 0
        # Steps of builds go with the images that were built on them.
        for image in prunable(self.list(), filters):
            if in_use(image.id):
                continue
            # By its names, as dockerd does: an image that others are built on loses these and stays.
            for name in (*image.tags, *image.digests) or (image.id,):
                try:
                    done, freed = self._remove(name, force=False, prune=True, in_use=in_use, only=image.id)
                except EngineError:
                    continue  # gone with another name, or used, removed or built upon by somebody else meanwhile
                lines += done
                reclaimed += freed
        self.catalogue.publish_prune(reclaimed)
        return PrunedImages(lines=tuple(lines), reclaimed=reclaimed)

    def usage(self, *, in_use: InUse) -> StoreUsage:
        """What images take of the disk."""
        images = self.list()
        with self._collector.quiet():  # what the rows need is there until this is over
            layers, blobs = self._records.needs()
            return measured(
                images,
                layers_of=layers,
                blobs_of=blobs,
                layer_size=self._layer_size,
                blob_size=self._content.size,
                containers={image_id: len(in_use(image_id)) for image_id in layers},
            )

    def freed(self, names: Collection[str]) -> int:
        """Bytes that come free when the images *names* are removed, as `prune` counts; none for what is not there."""
        found = set()
        with self._collector.quiet():
            for name in names:
                with suppress(ImageNotFound):
                    found.add(self.catalogue.find(name)[0].id)
            gone = with_steps(found, self._records.all())
            layers, blobs = self._records.needs()
            return sum(map(self._layer_size, alone(gone, layers))) + sum(map(self._content.size, alone(gone, blobs)))

    def _remove(
        self, text: str, *, force: bool, prune: bool, in_use: InUse, only: Digest | None = None
    ) -> tuple[Sequence[RemovedImage], int]:
        """The lines of a removal, and the bytes that it freed. `ImageNotFound` where it is not of *only*."""
        while True:
            ended = self._collector.ended
            uses = {image_id: in_use(image_id) for image_id in self._lineage(text)}
            with self._collector.quiet():
                # A container that was being created while the uses were asked for may not be among them.
                if self._collector.ended != ended:
                    continue
                with self._database.transaction():
                    record, reference = self.catalogue.find(text)
                    if only not in (None, record.id):
                        raise ImageNotFound(text)
                    remover = Remover(self._records, uses=uses, busy=self._collector.held)
                    if reference is None:
                        remover.by_id(record, force=force, prune=prune)
                    else:
                        remover.by_reference(record, text, reference, force=force, prune=prune)
                done = remover.done
                freed = self._collector.collect(done.content)
                gone = gone_chains([each.diff_ids for each in done.deleted], self._records.chains())
                break
        for image_id in done.untagged:
            self.catalogue.publish("untag", image_id, image_id)
        for each in done.deleted:
            self.catalogue.forget(each.id)
            self.catalogue.publish("delete", each.id, each.id)
        return (*done.lines, *(RemovedImage(deleted=chain) for chain in gone)), freed

    def add_layer(
        self,
        parent: str,
        layer: Iterator[bytes],
        *,
        config: Mapping[str, Any],
        history: Mapping[str, Any],
        author: str = "",
        origin: Mapping[str, Any] | None = None,
        reference: Reference | None = None,
    ) -> Digest:
        """The id of a new image: *parent* with the tar *layer* on top and *config* (its JSON).

        *history* is the new line of its history: `created_by`, `author`, `comment`; *origin* what the config
        tells of where it comes from: `container`, `container_config`. When it fails nothing stays.
        """
        with self.held(parent) as below:
            image_id = assembly.add_layer(
                self.stores,
                below,
                layer,
                config=config,
                history=history,
                author=author,
                origin=origin or {},
                reference=reference,
            )
        if reference is not None:
            self.catalogue.publish("tag", image_id, reference.familiar, image_id)
        return image_id

    def add_image(
        self, document: Mapping[str, Any], *, parent: Digest | None, also: Callable[[Digest], None] | None = None
    ) -> Digest:
        """The id of a new image whose config is *document* (its JSON), on layers that are there and held (`holding`).

        *also* is called with the id within the transaction. When it fails nothing stays.
        """
        return assembly.add_image(self.stores, document, parent=parent, also=also)

    @contextmanager
    def holding(self, digests: Collection[Digest]) -> Iterator[None]:
        """Keep layers and blobs while the block runs; then those that no image took are removed."""
        with self._collector.holding(digests):
            yield

    def hold(self, text: str) -> Image:
        """The image *text*, which cannot be removed until it is released. `ImageNotFound`, as `get`."""
        with self._collector.quiet():
            image = self.get(text)
            self._collector.hold((image.id, *image.diff_ids))
        return image

    def keep(self, image_id: Digest, digests: Collection[Digest]) -> bool:
        """Hold *digests*, the image's id and those of its layers, if the image is there; whether it is."""
        with self._collector.quiet():
            if not self._records.exists(image_id):
                return False
            self._collector.hold(digests)
            return True

    def release(self, digests: Collection[Digest]) -> None:
        """Give up the digests that `hold` (an image's id and layers) and `keep` hold, once for each time."""
        self._collector.release(digests)

    @contextmanager
    def held(self, text: str) -> Iterator[Image]:
        """The image *text*, which cannot be removed while the block runs: for the time of a container's creation."""
        with ExitStack() as stack:
            with self._collector.quiet():
                image = self.get(text)
                stack.enter_context(self._collector.holding((image.id, *image.diff_ids)))
            yield image

    def history(self, text: str) -> Sequence[HistoryLine]:
        """The steps that made the image, newest first."""
        image = self.get(text)
        layers = iter(image.diff_ids)
        lines = [
            HistoryLine(
                id=None,
                created=entry.created,
                created_by=entry.created_by,
                tags=(),
                size=0 if entry.empty_layer else self._layer_size(next(layers, None)),
                comment=entry.comment,
            )
            for entry in image.history
        ]
        known: Image | None = image
        while known is not None and 0 < len(known.history) <= len(lines):
            # An image that this one was made of here ends where its own history does.
            lines[len(known.history) - 1] = replace(lines[len(known.history) - 1], id=known.id, tags=known.tags)
            record = self._records.get(known.parent) if known.parent else None
            known = self.catalogue.image(record) if record else None
        return lines[::-1]

    def raw_config(self, image_id: Digest) -> bytes:
        """The image's config, byte for byte as its author made it."""
        return self.catalogue.raw_config(image_id)

    def collect(self, *, in_use: InUse) -> None:
        """Let go of images that were removed by force and that no container uses any more."""
        for image_id in self._records.retired():
            if in_use(image_id):
                continue
            with self._collector.quiet():
                # A pull may have brought it back meanwhile. A new container cannot: nobody finds a retired image.
                if image_id not in self._records.retired() or self._collector.held(image_id):
                    continue
                content = self._records.blobs(image_id) | {diff_id for diff_id, _ in self._records.layers(image_id)}
                self._records.delete(image_id)
                self._collector.collect(content)

    def reconcile(self, *, in_use: InUse | None = None) -> None:
        """Put stores and rows in order; call it at start, before anything else.

        What no row needs is removed. A layer that is missing is made again from its blob; an image whose content cannot
        be brought back is removed, with a warning in the log. What containers still use of it stays.
        """
        self._content.sweep()
        self._layers.sweep()
        if in_use is not None:
            self.collect(in_use=in_use)
        for record in self._records.all():
            if reason := self._damage(record):
                _LOG.warning(
                    "image %s (%s) is damaged and has been removed: %s; pull it again",
                    record.id.short,
                    ", ".join(each.familiar for each in record.references) or "no name",
                    reason,
                )
                if in_use is not None and in_use(record.id):
                    self._records.retire(record.id)
                else:
                    self._records.delete(record.id)
        self._collector.collect(self._content.digests() | self._layers.diff_ids())

    def _damage(self, record: ImageRecord) -> str:
        """What is wrong with an image after what could be repaired has been; empty when nothing is."""
        try:
            self._content.read(record.id, limit=MANIFEST_LIMIT)
        except EngineError as error:
            return f"its config cannot be used: {error}"
        for diff_id, blob in self._records.layers(record.id):
            if self._layers.has(diff_id):
                continue
            if blob is None or not self._content.has(blob):
                return f"its layer {diff_id.short} is missing"
            try:
                unpack_stored(self._content, self._layers, blob, diff_id)
            except (EngineError, OSError) as error:
                return f"its layer {diff_id.short} cannot be unpacked again: {error}"
        return ""

    def _lineage(self, text: str) -> Sequence[Digest]:
        """The image *text* and those that it was built on."""
        record: ImageRecord | None = self.catalogue.find(text)[0]
        lineage = []
        while record is not None and record.id not in lineage:
            lineage.append(record.id)
            record = self._records.get(record.parent) if record.parent else None
        return lineage

    def _run_pull(self, pull: Pull, cancel: threading.Event | None) -> Sequence[PullResult]:
        with self._running(pull):
            results = pull.run(cancel)
        for each in results:
            self.catalogue.publish("pull", each.reference.familiar, each.reference.familiar_name, each.image)
        return results

    @contextmanager
    def _running(self, errand: Pull | Push) -> Iterator[None]:
        with self._idle:
            self._errands.add(errand)
        try:
            yield
        finally:
            with self._idle:
                self._errands.remove(errand)
                self._idle.notify_all()

    def _layer_size(self, diff_id: Digest | None) -> int:
        return self._layers.size(diff_id) if diff_id is not None else 0
