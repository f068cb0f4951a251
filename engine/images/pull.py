"""Pulling an image: manifest, config, layers in parallel, then the rows that make it an image.

Everything arrives under a hold (`Collector.holding`), so a pull that fails or is cancelled leaves nothing behind but
what another pull or image needs too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from engine.errors import DigestMismatch, InvalidParameter, ManifestUnknown, NotFound
from engine.images.config import ParsedConfig, parse_config
from engine.images.errand import Errand
from engine.images.ingest import kept_blob
from engine.images.model import LayerPhase, Progress, PullResult
from engine.images.progress import ProgressBoard
from engine.images.stores import ImageStores
from engine.images.transfer import LayerTransfer
from engine.registry.auth import RegistryAuth
from engine.registry.client import FetchedManifest, RegistryClient
from engine.registry.media import MANIFEST_LIMIT, Descriptor, Index, Manifest, choose, layer_compression
from engine.registry.platforms import suits
from engine.registry.reach import PublicReach
from engine.registry.reference import Reference
from engine.types import Digest, Platform, printable

PARALLEL_LAYERS: Final = 3
"""Layers of one pull that are fetched at once, as in Docker."""

_INDEX_DEPTH: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What a pull has found out before it fetches a layer."""

    manifests: tuple[FetchedManifest, ...]
    """From the one that the reference names down to the image's own."""
    manifest: Manifest
    config_data: bytes
    config: ParsedConfig

    @property
    def image_id(self) -> Digest:
        return self.manifest.config.digest

    @property
    def layers(self) -> Mapping[Digest, Descriptor]:
        """Each diffID with a blob that holds it, lowest first; a layer that occurs twice is fetched once."""
        return dict(zip(self.config.diff_ids, self.manifest.layers, strict=True))

    @property
    def blobs(self) -> set[Digest]:
        return {
            self.image_id,
            *(each.digest for each in self.manifests),
            *(each.digest for each in self.manifest.layers),
        }


class Pull(Errand[Sequence[PullResult]]):
    """One pull of one reference, or of every tag in its repository."""

    def __init__(
        self,
        stores: ImageStores,
        reference: Reference,
        *,
        all_tags: bool,
        platform: Platform | None,
        auth: RegistryAuth | None,
        progress: Progress,
        reach: PublicReach | None = None,
    ) -> None:
        super().__init__(f"pull of {reference.familiar}")
        # With both a tag and a digest it is the digest that is meant, and the tag is not moved.
        self._reference = reference.with_digest(reference.digest) if reference.digest else reference
        self._stores = stores
        self._all_tags = all_tags
        self._platform = platform
        self._board = ProgressBoard(progress)
        self._warnings: list[str] = []
        self._client = RegistryClient(reference, hosts=stores.hosts, auth=auth, patience=stores.patience, reach=reach)

    def _abort(self) -> None:
        self._client.abort()

    def _work(self) -> Sequence[PullResult]:
        with self._client:
            if not self._all_tags:
                result = self._pull(self._reference)
                self._tell_status(self._reference.familiar, newer=result.newer)
                return [result]
            # Docker's grammar decides what a tag is, not the registry.
            tags = [Reference.parse(f"{self._reference.name}:{tag}") for tag in self._client.tags()]
            results = [self._pull(tag) for tag in tags]
            if not results:
                raise ManifestUnknown(f"repository {self._reference.familiar_name} has no tags")
            self._tell_status(self._reference.familiar_name, newer=any(result.newer for result in results))
            return results

    def _tell_status(self, name: str, *, newer: bool) -> None:
        self._board.message(f"Status: {'Downloaded newer image' if newer else 'Image is up to date'} for {name}")
        for warning in self._warnings:
            self._board.message(warning)

    def _pull(self, reference: Reference) -> PullResult:
        stores = self._stores
        plan = self._plan(reference)
        with ExitStack() as hold:
            hold.enter_context(stores.collector.holding(plan.blobs | plan.layers.keys()))
            self._fetch_layers(plan)
            stores.content.put(plan.config_data, expected=plan.image_id)
            for manifest in plan.manifests:
                stores.content.put(manifest.data, expected=manifest.digest)
            named = plan.manifests[0].digest
            present = {digest for digest in plan.blobs if stores.content.has(digest)}
            # A layer that was here has perhaps come in another blob: that one will do as well.
            layers = {
                diff_id: layer.digest if layer.digest in present else kept_blob(stores, diff_id, hold)
                for diff_id, layer in plan.layers.items()
            }
            self._check()
            with stores.database.transaction():
                previous = stores.records.resolve(reference)
                stores.records.add(
                    plan.image_id,
                    size=sum(map(stores.layers.size, layers)),
                    layers=[(diff_id, layers[diff_id]) for diff_id in plan.config.diff_ids],
                    blobs=present | {blob for blob in layers.values() if blob is not None},
                )
                stores.records.refer(reference.with_digest(named), plan.image_id)
                if reference.digest is None:
                    stores.records.refer(reference, plan.image_id)
        self._board.message(f"Digest: {named}")
        if self._platform and not suits(plan.config.platform, self._platform):
            self._warnings.append(
                f"WARNING: image with reference {reference.familiar} was found but its platform "
                f"({plan.config.platform}) does not match the specified platform ({self._platform})"
            )
        return PullResult(reference=reference, image=plan.image_id, manifest=named, newer=previous != plan.image_id)

    def _plan(self, reference: Reference) -> _Plan:
        manifests = [self._client.manifest(reference.tag_or_digest)]
        self._board.message(f"Pulling from {reference.path}", str(reference) if reference.digest else reference.tag)
        while isinstance(index := manifests[-1].document, Index):
            if len(manifests) > _INDEX_DEPTH:
                raise InvalidParameter(f"{reference.familiar} is an index of indexes without end")
            manifests.append(self._client.manifest(choose(index, self._platform).digest))
        manifest = index
        for layer in manifest.layers:
            layer_compression(layer)
        data = self._config_data(manifest.config)
        config = parse_config(data)
        if config.platform.os not in ("", "linux"):
            raise InvalidParameter(
                f'image operating system "{printable(config.platform.os, 40)}" cannot be used on this platform: '
                "operating system is not supported"
            )
        if len(config.diff_ids) != len(manifest.layers):
            raise InvalidParameter(
                f"layers from manifest don't match image configuration: {len(manifest.layers)} layers, "
                f"{len(config.diff_ids)} diffIDs"
            )
        return _Plan(manifests=tuple(manifests), manifest=manifest, config_data=data, config=config)

    def _config_data(self, config: Descriptor) -> bytes:
        if self._stores.records.get(config.digest) is not None:
            with suppress(NotFound, DigestMismatch):  # removed between the two looks, or rotted
                return self._stores.content.read(config.digest, limit=MANIFEST_LIMIT)
        return self._client.read_blob(config)

    def _fetch_layers(self, plan: _Plan) -> None:
        known = self._stores.records.get(plan.image_id) is not None
        wanted = []
        for diff_id, layer in plan.layers.items():
            if self._is_here(layer, diff_id):
                if known:
                    continue
                self._board.layer(layer.digest, LayerPhase.EXISTS)
            else:
                self._board.layer(layer.digest, LayerPhase.WAITING)
                wanted.append((layer, diff_id))
        with ThreadPoolExecutor(PARALLEL_LAYERS, thread_name_prefix="layer") as pool:
            transfers = [pool.submit(self._fetch_layer, layer, diff_id) for layer, diff_id in wanted]
            finished = wait(transfers, return_when=FIRST_EXCEPTION).done
            failure = next((error for each in finished if (error := each.exception())), None)
            if failure is not None:
                self.stop()
                pool.shutdown(cancel_futures=True)
                raise failure

    def _is_here(self, layer: Descriptor, diff_id: Digest) -> bool:
        """Whether a layer is here, unpacked and in some blob: without one it could not be saved or pushed again."""
        stores = self._stores
        if not stores.layers.has(diff_id):
            return False
        if stores.content.has(layer.digest):
            return stores.content.size(layer.digest) == layer.size  # else it has been cut off, by a power cut or a disk
        return any(map(stores.content.has, stores.records.blobs_of_layer(diff_id)))

    def _fetch_layer(self, layer: Descriptor, diff_id: Digest) -> None:
        stores = self._stores
        transfer = LayerTransfer(client=self._client, content=stores.content, layers=stores.layers, board=self._board)
        with stores.locks.locked(diff_id, check=self._check):
            if self._is_here(layer, diff_id):
                self._board.layer(layer.digest, LayerPhase.EXISTS)
                return
            stored = stores.content.has(layer.digest)
            try:
                transfer.run(layer, diff_id, check=self._check)
            except DigestMismatch:
                if not stored:
                    raise
                # The copy in the store has rotted: fetch it anew.
                stores.content.remove(layer.digest)
                transfer.run(layer, diff_id, check=self._check)
