"""Finding, listing, tagging and removing images, by Docker's rules and in Docker's words."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import pytest

from engine.errors import AmbiguousId, Conflict, ImageNotFound, InvalidParameter
from engine.images.chains import chain_ids
from engine.images.model import ContainerUse, Image, RemovedImage
from engine.images.records import ImageRecords
from engine.registry.reference import Reference
from engine.types import Digest
from tests.fixtures.image_host import REPOSITORY, Host
from tests.fixtures.image_maker import LayerBlob, put_image
from tests.fixtures.registry_server import RegistryServer
from tests.fixtures.tars import tar_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

BASE = LayerBlob.gzip(tar_of({"base": b"base\n"}))
TOP = LayerBlob.gzip(tar_of({"top": b"top\n"}))
CONTAINER = "c0ffee" * 10 + "beef"


def nobody(_: Digest) -> Sequence[ContainerUse]:
    return ()


def running(_: Digest) -> Sequence[ContainerUse]:
    return (ContainerUse(id=CONTAINER, running=True),)


def stopped(_: Digest) -> Sequence[ContainerUse]:
    return (ContainerUse(id=CONTAINER, running=False),)


@pytest.fixture
def name(registry: RegistryServer) -> str:
    return f"{registry.address}/{REPOSITORY}"


@pytest.fixture
def image(registry: RegistryServer, host: Host) -> Image:
    """`team/app:latest` of two layers."""
    put_image(registry, REPOSITORY, [BASE, TOP])
    return host.images.get(host.pull(registry).image)


def told(host: Host) -> list[tuple[str, str, str]]:
    return [(event.action, event.actor, event.attributes["name"]) for event in host.events.past()]


def untagged(lines: Sequence[RemovedImage]) -> list[str]:
    return [line.untagged for line in lines if line.untagged]


def deleted(lines: Sequence[RemovedImage]) -> list[Digest]:
    return [line.deleted for line in lines if line.deleted]


def test_an_image_is_found_by_its_names(host: Host, image: Image, name: str) -> None:
    for text in (
        name,
        f"{name}:latest",
        image.digests[0],
        f"{name}:anything@{image.digests[0].partition('@')[2]}",
        image.id,
        image.id.hex,
        image.id.short,
        f"sha256:{image.id.short}",
        image.id.hex[:2],
    ):
        assert host.images.get(text) == image


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("debian", "No such image: debian:latest"),
        ("debian:12", "No such image: debian:12"),
        ("127.0.0.1:1/x", "No such image: 127.0.0.1:1/x:latest"),
        ("f" * 64, f"No such image: sha256:{'f' * 64}"),
        (f"sha256:{'f' * 64}", f"No such image: sha256:{'f' * 64}"),
        (f"x@sha256:{'f' * 64}", f"No such image: x@sha256:{'f' * 64}"),
        ("sha256:0", "No such image: sha256:0"),
        ("g", "No such image: g:latest"),
    ],
)
def test_an_unknown_image_in_dockers_words(host: Host, image: Image, text: str, words: str) -> None:
    if image.id.hex.startswith("0"):
        text, words = text.replace("sha256:0", "sha256:1"), words.replace("sha256:0", "sha256:1")
    with pytest.raises(ImageNotFound) as caught:
        host.images.get(text)
    assert str(caught.value) == words


def test_a_bad_reference(host: Host) -> None:
    with pytest.raises(InvalidParameter, match="invalid reference format"):
        host.images.get("No:Such:Image")


def test_a_prefix_of_two_is_ambiguous(registry: RegistryServer, host: Host) -> None:
    ids: list[Digest] = []
    number = 0
    while len({each.hex[0] for each in ids}) == len(ids):
        put_image(registry, REPOSITORY, [TOP], tag=str(number), config={"author": str(number)})
        ids.append(host.pull(registry, f":{number}").image)
        number += 1
    with pytest.raises(AmbiguousId):
        host.images.get(ids[-1].hex[0])
    assert host.images.get(ids[-1].short).id == ids[-1]


def test_a_name_comes_before_an_id(host: Host, image: Image, registry: RegistryServer) -> None:
    put_image(registry, REPOSITORY, [TOP], tag="other")
    other = host.pull(registry, ":other").image
    host.images.tag(other, Reference.parse(image.id.short))
    assert host.images.get(image.id.short).id == other


def test_listing(registry: RegistryServer, host: Host) -> None:
    for number in range(3):
        put_image(registry, REPOSITORY, [TOP], config={"created": f"2026-01-0{number + 1}T00:00:00Z"})
        host.pull(registry)
    images = host.images.list()
    assert [bool(each.tags) for each in images] == [True, False, False]
    assert [each.created for each in images] == sorted((each.created for each in images), reverse=True)
    assert len(host.images.list(filters={"dangling": ["true"]})) == 2
    assert len(host.images.list(filters={"reference": [f"{registry.address}/*/app:latest"]})) == 1
    assert host.images.list(filters={"label": ["maker=nobody"]}) == []


def test_steps_of_a_build_are_hidden(registry: RegistryServer, host: Host, image: Image, name: str) -> None:
    records = ImageRecords(host.database)
    child = Digest(put_image(registry, REPOSITORY, [BASE, TOP], config={"author": "child"}).id)
    host.content.put(host_config(registry, child))
    layers = [(diff_id, None) for diff_id in image.diff_ids]
    records.add(child, size=1, layers=layers, blobs={child}, parent=image.id)
    records.refer(Reference.parse("child"), child)
    host.images.remove(name, in_use=nobody)
    assert [each.id for each in host.images.list()] == [child]
    assert {each.id for each in host.images.list(all=True)} == {child, image.id}
    with pytest.raises(Conflict, match=r"\(cannot be forced\) - image has dependent child images"):
        host.images.remove(image.id, force=True, in_use=nobody)
    lines = host.images.remove("child", in_use=nobody)
    assert deleted(lines)[:2] == [child, image.id]
    assert host.traces() == []


def host_config(registry: RegistryServer, digest: Digest) -> bytes:
    found = registry.find(f"/v2/{REPOSITORY}/blobs/{digest}")
    assert found
    return found[1]


def test_tagging(host: Host, image: Image, name: str) -> None:
    host.images.tag(name, Reference.parse("mine:1"))
    assert host.images.get("mine:1").id == image.id
    assert set(host.images.get(image.id).tags) == {f"{name}:latest", "mine:1"}
    assert told(host)[-1] == ("tag", image.id, "mine:1")
    with pytest.raises(ImageNotFound):
        host.images.tag("absent", Reference.parse("mine:2"))
    with pytest.raises(InvalidParameter, match="digest reference"):
        host.images.tag(name, Reference.parse(f"x@{image.id}"))
    with pytest.raises(InvalidParameter, match="ambiguous tag"):
        host.images.tag(name, Reference.parse("sha256:abc"))


def test_history(host: Host, image: Image, name: str) -> None:
    lines = host.images.history(name)
    assert [line.created_by for line in lines] == ["step 1", "step 0"]
    assert [line.size for line in lines] == [host.layers.size(Digest(layer.diff_id)) for layer in (TOP, BASE)]
    assert (lines[0].id, lines[0].tags, lines[1].id) == (image.id, image.tags, None)


@pytest.mark.parametrize("by", ["name", "id", "digest"])
def test_removing_the_last_name_removes_everything(host: Host, image: Image, name: str, by: str) -> None:
    text = {"name": name, "id": image.id.short, "digest": image.digests[0]}[by]
    if by == "digest":
        assert untagged(host.images.remove(text, in_use=nobody)) == [image.digests[0]]
        text = name
    lines = host.images.remove(text, in_use=nobody)
    assert set(untagged(lines)) == {*image.tags, *([] if by == "digest" else image.digests)}
    assert deleted(lines) == [image.id, *reversed(chain_ids(image.diff_ids))]
    assert host.traces() == []
    assert [action for action, _, _ in told(host)][-1] == "delete"
    with pytest.raises(ImageNotFound):
        host.images.get(image.id)


def test_lines_and_events_of_a_removal_are_dockers(host: Host, image: Image, name: str) -> None:
    before = len(told(host))
    lines = host.images.remove(name, in_use=nobody)
    assert untagged(lines) == [f"{name}:latest", image.digests[0]]
    assert told(host)[before:] == [("untag", image.id, image.id), ("delete", image.id, image.id)]


def test_removing_one_of_two_names(host: Host, image: Image, name: str) -> None:
    host.images.tag(name, Reference.parse("mine:1"))
    assert host.images.remove("mine:1", in_use=running) == (RemovedImage(untagged="mine:1"),)
    assert host.images.get(name).id == image.id


def test_an_id_with_names_in_two_repositories_must_be_forced(host: Host, image: Image, name: str) -> None:
    host.images.tag(name, Reference.parse("mine:1"))
    with pytest.raises(Conflict) as caught:
        host.images.remove(image.id, in_use=nobody)
    assert str(caught.value) == (
        f"conflict: unable to delete {image.id.short} (must be forced) - image is referenced in multiple repositories"
    )
    lines = host.images.remove(image.id, force=True, in_use=nobody)
    assert len(untagged(lines)) == 3
    assert host.traces() == []


def test_a_running_container_keeps_its_image(host: Host, image: Image, name: str) -> None:
    with pytest.raises(Conflict) as caught:
        host.images.remove(name, in_use=running)
    assert str(caught.value) == (
        f'conflict: unable to remove repository reference "{name}" (must force) - container c0ffeec0ffee '
        f"is using its referenced image {image.id.short}"
    )
    with pytest.raises(Conflict) as caught:
        host.images.remove(image.id, force=True, in_use=running)
    assert str(caught.value) == (
        f"conflict: unable to delete {image.id.short} (cannot be forced) - image is being used by running container "
        "c0ffeec0ffee"
    )
    assert host.images.get(name) == image
    lines = host.images.remove(name, force=True, in_use=running)
    assert untagged(lines) == [f"{name}:latest", image.digests[0]]
    assert deleted(lines) == []
    assert host.images.get(image.id).tags == ()


def test_a_stopped_container_keeps_the_layers(host: Host, image: Image, registry: RegistryServer) -> None:
    with pytest.raises(Conflict) as caught:
        host.images.remove(image.id, in_use=stopped)
    assert str(caught.value) == (
        f"conflict: unable to delete {image.id.short} (must be forced) - image is being used by stopped container "
        "c0ffeec0ffee"
    )
    lines = host.images.remove(image.id, force=True, in_use=stopped)
    assert deleted(lines) == [image.id]
    with pytest.raises(ImageNotFound):
        host.images.get(image.id)
    assert host.images.list(all=True) == []
    assert all(host.layers.has(diff_id) for diff_id in image.diff_ids)
    host.images.reconcile(in_use=stopped)
    host.images.collect(in_use=stopped)
    assert all(host.layers.has(diff_id) for diff_id in image.diff_ids)
    host.pull(registry)
    assert host.images.get(image.id) == image
    host.images.remove(image.id, force=True, in_use=stopped)
    host.images.collect(in_use=nobody)
    assert host.traces() == []


def test_shared_layers_stay(registry: RegistryServer, host: Host, image: Image, name: str) -> None:
    put_image(registry, REPOSITORY, [BASE], tag="base")
    host.pull(registry, ":base")
    lines = host.images.remove(name, in_use=nobody)
    assert deleted(lines) == [image.id, chain_ids(image.diff_ids)[1]]
    assert host.layers.has(Digest(BASE.diff_id))
    assert not host.layers.has(Digest(TOP.diff_id))
    host.images.remove(f"{name}:base", in_use=nobody)
    assert host.traces() == []


def test_a_held_image_cannot_be_removed(host: Host, image: Image, name: str) -> None:
    with host.images.held(name) as held:
        assert held == image
        with pytest.raises(Conflict, match="used for a new container"):
            host.images.remove(image.id, force=True, in_use=nobody)
        host.images.remove(name, in_use=nobody)
        assert host.layers.has(image.diff_ids[0])
    assert host.images.get(image.id).tags == ()
    host.images.remove(image.id, in_use=nobody)
    assert host.traces() == []


def test_a_container_that_is_created_meanwhile_counts(host: Host, image: Image, name: str) -> None:
    """The container appears after the first question for uses, before the removal."""
    answers: list[Sequence[ContainerUse]] = []

    def in_use(_: Digest) -> Sequence[ContainerUse]:
        if not answers:
            with host.images.held(name):
                answers.append(())
        else:
            answers.append((ContainerUse(id=CONTAINER, running=True),))
        return answers[-1]

    with pytest.raises(Conflict, match="is using its referenced image"):
        host.images.remove(name, in_use=in_use)
    assert host.images.get(name) == image


def test_pulls_and_removals_at_once(registry: RegistryServer, host: Host, name: str) -> None:
    put_image(registry, REPOSITORY, [BASE, TOP])
    stop = threading.Event()

    def remove() -> None:
        while not stop.is_set():
            try:
                host.images.remove(name, in_use=nobody)
            except ImageNotFound:
                stop.wait(0.001)

    def look() -> None:
        while not stop.is_set():
            try:
                host.images.list()
            except Exception as error:  # noqa: BLE001 - told to the test
                wrong.append(error)

    wrong: list[Exception] = []
    threads = [threading.Thread(target=remove), threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(8):
            host.pull(registry)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    host.pull(registry)
    image = host.images.get(name)
    assert all(host.layers.has(diff_id) for diff_id in image.diff_ids)
    assert host.images.raw_config(image.id)
    host.images.remove(name, in_use=nobody)
    assert host.traces() == []


def test_everything_is_there_after_a_restart(host: Host, image: Image) -> None:
    host.database.close()
    again = Host.at(host.root)
    try:
        again.images.reconcile()
        assert again.images.get(image.id) == image
    finally:
        again.database.close()
