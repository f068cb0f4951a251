"""Pulling an image: manifest, config, layers in parallel, then the rows that make it an image.

Everything arrives under a hold (`Collector.holding`), so a pull that fails or is cancelled leaves nothing behind but
what another pull or image needs too.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from engine.errors import DigestMismatch, InvalidParameter, NotFound
from engine.images.config import ParsedConfig, parse_config
from engine.images.errand import Errand
from engine.images.model import LayerPhase, Progress, PullResult
from engine.images.progress import ProgressBoard
from engine.images.stores import ImageStores
from engine.images.transfer import LayerTransfer
from engine.registry.auth import RegistryAuth
from engine.registry.client import FetchedManifest, RegistryClient
from engine.registry.media import MANIFEST_LIMIT, Descriptor, Index, Manifest, choose, layer_compression
from engine.registry.platforms import suits
from engine.registry.reference import Reference
from engine.types import Digest, Platform

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


class Pull(Errand[PullResult]):
    """One pull of one reference."""

    def __init__(
        self,
        stores: ImageStores,
        reference: Reference,
        *,
        platform: Platform | None,
        auth: RegistryAuth | None,
        progress: Progress,
    ) -> None:
        super().__init__(f"pull of {reference.familiar}")
        # With both a tag and a digest it is the digest that is meant, and the tag is not moved.
        self._reference = reference.with_digest(reference.digest) if reference.digest else reference
        self._stores = stores
        self._platform = platform
        self._board = ProgressBoard(progress)
        self._client = RegistryClient(reference, hosts=stores.hosts, auth=auth, patience=stores.patience)

    def _abort(self) -> None:
        self._client.abort()

    def _work(self) -> PullResult:
        with self._client:
            return self._pull()

    def _pull(self) -> PullResult:
        stores, reference = self._stores, self._reference
        plan = self._plan()
        with stores.collector.holding(plan.blobs | plan.layers.keys()):
            self._fetch_layers(plan)
            stores.content.put(plan.config_data, expected=plan.image_id)
            for manifest in plan.manifests:
                stores.content.put(manifest.data, expected=manifest.digest)
            named = plan.manifests[0].digest
            present = {digest for digest in plan.blobs if stores.content.has(digest)}
            self._check()
            with stores.database.transaction():
                previous = stores.records.resolve(reference)
                stores.records.add(
                    plan.image_id,
                    size=sum(stores.layers.size(diff_id) for diff_id in plan.layers),
                    layers=[
                        (diff_id, layer.digest if layer.digest in present else None)
                        for diff_id, layer in zip(plan.config.diff_ids, plan.manifest.layers, strict=True)
                    ],
                    blobs=present,
                )
                stores.records.refer(reference.with_digest(named), plan.image_id)
                if reference.digest is None:
                    stores.records.refer(reference, plan.image_id)
        newer = previous != plan.image_id
        self._board.message(f"Digest: {named}")
        status = "Downloaded newer image for" if newer else "Image is up to date for"
        self._board.message(f"Status: {status} {reference.familiar}")
        if self._platform and not suits(plan.config.platform, self._platform):
            self._board.message(
                f"WARNING: image with reference {reference.familiar} was found but its platform "
                f"({plan.config.platform}) does not match the specified platform ({self._platform})"
            )
        return PullResult(image=plan.image_id, manifest=named, newer=newer)

    def _plan(self) -> _Plan:
        manifests = [self._client.manifest(self._reference.tag_or_digest)]
        digest = self._reference.digest
        self._board.message(
            f"Pulling from {self._reference.path}", str(self._reference) if digest else self._reference.tag
        )
        while isinstance(index := manifests[-1].document, Index):
            if len(manifests) > _INDEX_DEPTH:
                raise InvalidParameter(f"{self._reference.familiar} is an index of indexes without end")
            manifests.append(self._client.manifest(choose(index, self._platform).digest))
        manifest = index
        for layer in manifest.layers:
            layer_compression(layer)
        data = self._config_data(manifest.config)
        config = parse_config(data)
        if config.platform.os not in ("", "linux"):
            raise InvalidParameter(
                f'image operating system "{config.platform.os}" cannot be used on this platform: '
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
            with suppress(NotFound):  # removed between the two looks
                return self._stores.content.read(config.digest, limit=MANIFEST_LIMIT)
        return self._client.read_blob(config)

    def _fetch_layers(self, plan: _Plan) -> None:
        if self._stores.records.get(plan.image_id) is not None:
            return
        wanted = []
        for diff_id, layer in plan.layers.items():
            if self._stores.layers.has(diff_id):
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

    def _fetch_layer(self, layer: Descriptor, diff_id: Digest) -> None:
        stores = self._stores
        transfer = LayerTransfer(client=self._client, content=stores.content, layers=stores.layers, board=self._board)
        with stores.locks.locked(diff_id, check=self._check):
            if stores.layers.has(diff_id):
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
