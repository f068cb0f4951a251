"""A blob of an image ends at any byte, or has rotted: its digest tells, and it comes again or somebody is told."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Final

import pytest

from engine.errors import DigestMismatch
from engine.images.checking import Inspection
from engine.images.model import ContainerUse
from engine.registry.reference import Reference
from engine.types import Digest
from tests.fixtures.image_archives import host_layer
from tests.fixtures.image_host import REPOSITORY, Host
from tests.fixtures.image_maker import LayerBlob, MadeImage, put_image
from tests.fixtures.registry_server import RegistryServer
from tests.fixtures.tars import tar_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

BASE: Final = LayerBlob.gzip(tar_of({"base": b"base\n", "etc/noise": os.urandom(100_000)}))
TOP: Final = LayerBlob.zstd(tar_of({"top": b"top\n"}))
BLOBS: Final[dict[str, Callable[[MadeImage], str]]] = {
    "config": lambda made: made.id,
    "manifest": lambda made: made.manifest,
    "gzip": lambda made: BASE.digest,
    "zstd": lambda made: TOP.digest,
}
SHARES: Final = (0.0, 0.5, 1.0)
"""Of its bytes that a blob keeps; of all of them the last is another."""


@pytest.fixture
def made(registry: RegistryServer, host: Host) -> MadeImage:
    made = put_image(registry, REPOSITORY, [BASE, TOP])
    host.pull(registry)
    return made


def cut(host: Host, digest: str, share: float) -> None:
    path = host.content.path(Digest(digest))
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(whole[: int(len(whole) * share)] if share < 1 else whole[:-1] + bytes([whole[-1] ^ 1]))


def is_whole(host: Host) -> bool:
    return [str(finding) for finding in Inspection(host.images.stores, repair=False).run()] == []


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", BLOBS)
def test_the_next_start_and_pull(
    registry: RegistryServer, host: Host, made: MadeImage, kind: str, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    cut(host, BLOBS[kind](made), share)
    again = Host.at(host.root)
    try:
        with caplog.at_level(logging.WARNING):
            again.images.reconcile()
        # Nobody can use an image without its config; all else it needs only to be sent elsewhere.
        assert [image.id for image in again.images.list()] == ([] if kind == "config" else [made.id])
        assert (made.id[7:19] in caplog.text and "pull it again" in caplog.text) == (kind == "config")
        if share == 1 and kind in ("gzip", "zstd"):
            # Its length is right: who reads it notices.
            with pytest.raises(DigestMismatch):
                again.save(made.id)
        again.pull(registry)
        assert is_whole(again)
        assert again.save(made.id)
    finally:
        again.database.close()


@pytest.mark.parametrize("share", SHARES)
def test_a_save(registry: RegistryServer, host: Host, made: MadeImage, share: float) -> None:
    """What cannot be read whole does not leave as if it were; afterwards a pull brings it."""
    cut(host, BASE.digest, share)
    with pytest.raises(DigestMismatch, match=r"on this engine's disk; it is forgotten: .* fetched by the next pull"):
        host.save(made.id)
    with pytest.raises(DigestMismatch, match="pull or build it again"):
        host.save(made.id)
    host.pull(registry)
    assert is_whole(host)
    assert host.save(made.id)


@pytest.mark.parametrize("share", SHARES)
def test_a_push(registry: RegistryServer, host: Host, made: MadeImage, share: float) -> None:
    cut(host, TOP.digest, share)
    with RegistryServer() as other:
        target = Reference.parse(f"{other.address}/copy:1")
        host.images.tag(made.id, target)
        with pytest.raises(DigestMismatch, match="fetched by the next pull"):
            host.images.push(target, progress=host.seen.append)
        host.pull(registry)
        host.images.push(target, progress=host.seen.append)
        assert is_whole(host)


@pytest.mark.parametrize("share", SHARES)
def test_a_manifest_is_made_anew_for_a_save(host: Host, made: MadeImage, share: float) -> None:
    cut(host, made.manifest, share)
    archive = host.save(made.id)
    host.images.remove(made.id, force=True, in_use=lambda _: ())
    [loaded] = host.load(archive)
    assert loaded.image == made.id
    assert is_whole(host)


def test_a_copy_of_ones_own_layer_is_packed_again(host: Host, made: MadeImage) -> None:
    image = host.images.add_layer(made.id, iter([host_layer(host)]), config={}, history={})
    whole = host.save(image)
    _, blob = host.images.stores.records.layers(image)[-1]
    assert blob is not None
    cut(host, blob, 0.5)
    with pytest.raises(DigestMismatch, match="packed again"):
        host.save(image)
    assert host.save(image) == whole
    assert is_whole(host)


def test_the_layers_of_a_container_outlive_its_images_config(
    registry: RegistryServer, host: Host, made: MadeImage
) -> None:
    cut(host, made.id, 0.5)
    again = Host.at(host.root)
    try:
        uses = {Digest(made.id): [ContainerUse(id="c", running=False)]}
        again.images.reconcile(in_use=lambda image_id: uses.get(image_id, []))
        assert again.images.list() == []
        assert (again.layers.diff(Digest(BASE.diff_id)) / "base").read_bytes() == b"base\n"
        uses.clear()
        again.images.reconcile(in_use=lambda image_id: uses.get(image_id, []))
        assert again.traces() == []
        again.pull(registry)
        assert is_whole(again)
    finally:
        again.database.close()
