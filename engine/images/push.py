"""Pushing an image: its layers side by side, then its config, then the manifest that names them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Final

from engine.errors import DigestMismatch, NotFound
from engine.images import damage
from engine.images.errand import Errand
from engine.images.manifests import Packaged, package
from engine.images.model import Progress, Pushed, PushPhase
from engine.images.progress import ProgressBoard
from engine.images.stores import ImageStores
from engine.registry.auth import RegistryAuth
from engine.registry.media import Descriptor
from engine.registry.reach import PublicReach
from engine.registry.reference import Reference
from engine.registry.uploads import Arrival, RegistryUploader
from engine.types import Digest

PARALLEL_LAYERS: Final = 5
"""Layers of one push that are sent at once, as in Docker."""

_MOUNTS: Final = 3
"""Repositories that are asked for a layer before it is uploaded."""


class Push(Errand[Sequence[Pushed]]):
    """One push of one reference, or of every tag in its repository."""

    def __init__(
        self,
        stores: ImageStores,
        reference: Reference,
        *,
        all_tags: bool,
        auth: RegistryAuth | None,
        progress: Progress,
        reach: PublicReach | None = None,
    ) -> None:
        super().__init__(f"push of {reference.familiar}")
        self._stores = stores
        self._reference = reference
        self._all_tags = all_tags
        self._auth = auth
        self._reach = reach
        self._board = ProgressBoard(progress)
        self._uploader: RegistryUploader | None = None

    def _abort(self) -> None:
        if self._uploader is not None:
            self._uploader.abort()

    def _work(self) -> Sequence[Pushed]:
        reference, stores = self._reference, self._stores
        self._board.message(f"The push refers to repository [{reference.name}]")
        found = [
            (tag, image_id) for tag, image_id in stores.records.tags_of(reference) if self._all_tags or tag == reference
        ]
        if not found:
            raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
        with ExitStack() as hold:
            contents = [(tag, package(stores, image_id, hold=hold, check=self._check)) for tag, image_id in found]
            blobs = {layer.digest for _, image in contents for layer in image.manifest.layers}
            sources = stores.records.repositories_of(blobs, reference)
            self._uploader = RegistryUploader(
                reference,
                hosts=stores.hosts,
                auth=self._auth,
                patience=stores.patience,
                reach=self._reach,
                mounted_from={path for paths in sources.values() for path in paths[:_MOUNTS]},
            )
            with self._uploader as uploader:
                self._check()
                return [self._push(uploader, tag, image, sources) for tag, image in contents]

    def _push(
        self, uploader: RegistryUploader, tag: Reference, image: Packaged, sources: dict[Digest, list[str]]
    ) -> Pushed:
        self._layers(uploader, image, sources)
        config = image.manifest.config
        uploader.blob(
            config, lambda: self._stores.content.open(config.digest), mounted_from=(), progress=lambda _: None
        )
        self._check()
        uploader.manifest(tag.tag, image.data, image.media_type)
        with self._stores.collector.holding({image.digest}):
            self._stores.content.put(image.data, expected=image.digest)
            with self._stores.database.transaction():
                if self._stores.records.get(image.image) is not None:
                    self._stores.records.keep(image.image, {image.digest})
                    self._stores.records.refer(tag.with_digest(image.digest), image.image)
        pushed = Pushed(tag=tag.tag, digest=image.digest, size=len(image.data))
        self._board.message(f"{tag.tag}: digest: {image.digest} size: {len(image.data)}")
        self._board.tell(pushed)
        return pushed

    def _layers(self, uploader: RegistryUploader, image: Packaged, sources: dict[Digest, list[str]]) -> None:
        layers = dict(zip(image.diff_ids, image.manifest.layers, strict=True))
        for diff_id in reversed(layers):
            self._board.begin(diff_id, PushPhase.PREPARING)
        for diff_id in list(layers)[PARALLEL_LAYERS:]:
            self._board.layer(diff_id, PushPhase.WAITING)
        with ThreadPoolExecutor(PARALLEL_LAYERS, thread_name_prefix="push") as pool:
            tasks = [
                pool.submit(self._layer, uploader, diff_id, layer, sources.get(layer.digest, [])[:_MOUNTS])
                for diff_id, layer in layers.items()
            ]
            finished = wait(tasks, return_when=FIRST_EXCEPTION).done
            failure = next((error for each in finished if (error := each.exception())), None)
            if failure is not None:
                self.stop()
                pool.shutdown(cancel_futures=True)
                raise failure

    def _layer(self, uploader: RegistryUploader, diff_id: Digest, layer: Descriptor, sources: Sequence[str]) -> None:
        self._check()
        try:
            arrived = uploader.blob(
                layer,
                lambda: self._stores.content.open(layer.digest),
                mounted_from=sources,
                progress=lambda sent: self._board.layer(diff_id, PushPhase.PUSHING, sent, layer.size),
            )
        except DigestMismatch:
            damage.require_whole(self._stores, layer.digest)
            raise
        if arrived.how is Arrival.EXISTED:
            self._board.layer(diff_id, PushPhase.EXISTS)
        elif arrived.how is Arrival.MOUNTED:
            self._board.layer(diff_id, PushPhase.MOUNTED, detail=arrived.repository)
        else:
            self._board.layer(diff_id, PushPhase.PUSHED)
