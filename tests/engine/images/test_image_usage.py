"""What images share and what is theirs alone, against what the disk says before and after they are gone."""

from __future__ import annotations

import os

import pytest

from engine.errors import InvalidParameter
from engine.images.model import ContainerUse
from engine.registry.reference import Reference
from engine.types import Digest
from tests.fixtures.image_host import REPOSITORY, Host
from tests.fixtures.image_maker import LayerBlob, MadeImage, put_image
from tests.fixtures.registry_server import RegistryServer
from tests.fixtures.tars import tar_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

BASE = LayerBlob.gzip(tar_of({"base": os.urandom(50_000)}))
TOPS = [LayerBlob.gzip(tar_of({"top": os.urandom(1000 * number)})) for number in (1, 2, 3)]


@pytest.fixture
def images(host: Host) -> list[MadeImage]:
    """Three images on one base; the first has a label, the last no name."""
    made = []
    with RegistryServer() as registry:
        for number, top in enumerate(TOPS):
            config = {"config": {"Labels": {"first": "yes"} if number == 0 else {}}}
            made.append(put_image(registry, REPOSITORY, [BASE, top], tag=f"v{number}", config=config))
            host.pull(registry, f":v{number}")
        for reference in host.images.catalogue.find(made[-1].id)[0].references:
            host.images.stores.records.forget(reference)
    return made


def on_disk(host: Host) -> int:
    """Bytes of all blobs, and of the files in all layers."""
    blobs = sum(host.content.size(digest) for digest in host.content.digests())
    return blobs + sum(host.layers.size(diff_id) for diff_id in host.layers.diff_ids())


def nobody(_: Digest) -> tuple[ContainerUse, ...]:
    return ()


def test_usage_is_what_the_disk_says(host: Host, images: list[MadeImage]) -> None:
    used = {images[0].id: (ContainerUse(id="1" * 64, running=False),)}
    usage = host.images.usage(in_use=lambda image: used.get(image, ()))
    assert usage.layers + usage.compressed == on_disk(host)
    assert usage.layers == 50_000 + 1000 + 2000 + 3000
    by_id = {each.image.id: each for each in usage.images}
    for number, made in enumerate(images, 1):
        assert (by_id[made.id].shared, by_id[made.id].unique) == (50_000, 1000 * number)
        assert by_id[made.id].containers == (made.id == images[0].id)
        assert by_id[made.id].compressed > len(TOPS[number - 1].blob)
    before = on_disk(host)
    pruned = host.images.prune(filters={"dangling": ("false",)}, in_use=lambda image: used.get(image, ()))
    assert pruned.reclaimed == usage.reclaimable == before - on_disk(host)
    assert [image.id for image in host.images.list()] == [images[0].id]


def test_prune_takes_images_without_a_name(host: Host, images: list[MadeImage]) -> None:
    pruned = host.images.prune(filters={}, in_use=nobody)
    assert next(line.deleted for line in pruned.lines if line.deleted) == images[2].id
    assert {image.id for image in host.images.list()} == {images[0].id, images[1].id}
    assert host.events.past()[-1].attributes == {"reclaimed": str(pruned.reclaimed)}
    assert host.images.prune(filters={}, in_use=nobody).lines == ()


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({"label": ("first",)}, {1, 2}),
        ({"label": ("first=yes",)}, {1, 2}),
        ({"label": ("first=no",)}, {0, 1, 2}),
        ({"label!": ("first",)}, {0}),
        ({"until": ("2026-01-01T00:00:00Z",)}, {0, 1, 2}),
        ({"until": ("1s",)}, set()),
    ],
)
def test_filters_of_a_prune(
    host: Host, images: list[MadeImage], filters: dict[str, tuple[str, ...]], left: set[int]
) -> None:
    host.images.prune(filters={"dangling": ("false",), **filters}, in_use=nobody)
    assert {image.id for image in host.images.list()} == {images[number].id for number in left}


@pytest.mark.parametrize(
    "filters", [{"nosuch": ("1",)}, {"until": ("soon",)}, {"before": ("x",)}, {"dangling": ("?",)}]
)
def test_filters_that_make_no_sense_prune_nothing(
    host: Host, images: list[MadeImage], filters: dict[str, tuple[str, ...]]
) -> None:
    with pytest.raises(InvalidParameter):
        host.images.prune(filters=filters, in_use=nobody)
    assert len(host.images.list()) == 3


def test_what_a_removal_frees_is_told_before(host: Host, images: list[MadeImage]) -> None:
    """With the steps that it was built of, which nobody else was; and not the base that others share."""
    names = []
    for parent in (images[0].id, "built:1"):
        data = tar_of({parent: bytes(70_000)})
        names.append(f"built:{len(names) + 1}")
        host.images.add_layer(parent, iter([data]), config={}, history={}, reference=Reference.parse(names[-1]))
    host.images.remove("built:1", in_use=nobody)
    [built] = (image for image in host.images.list() if "built:2" in image.tags)
    told, before = host.images.freed([built.id, "nosuch"]), on_disk(host)
    host.images.remove("built:2", in_use=nobody)
    assert told == before - on_disk(host) > 140_000
    ids = [image.id for image in host.images.list()]
    assert host.images.freed(ids) == on_disk(host)
    assert host.images.freed([]) == 0


def test_an_empty_store(host: Host) -> None:
    usage = host.images.usage(in_use=nobody)
    assert (usage.images, usage.layers, usage.compressed, usage.reclaimable) == ((), 0, 0, 0)
