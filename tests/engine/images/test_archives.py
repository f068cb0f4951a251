"""Saving, loading and importing: what goes out comes back the same, and what is wrong leaves nothing behind."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from engine.build.changes import change_of
from engine.errors import Cancelled, DigestMismatch, EngineError, ImageNotFound, InvalidParameter
from engine.images.model import LayerProgress, Loaded, LoadPhase, Message
from engine.registry.reference import Reference
from engine.types import Digest, Platform
from tests.fixtures.image_archives import docker_archive, host_layer, layout
from tests.fixtures.image_host import REPOSITORY, Host
from tests.fixtures.image_maker import LayerBlob, put_image
from tests.fixtures.processes import wait_until
from tests.fixtures.registry_server import Hang, Redirect, RegistryServer
from tests.fixtures.tars import tar_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

BASE = LayerBlob.gzip(tar_of({"base": b"base\n", "etc/noise": os.urandom(300_000)}))
MIDDLE = LayerBlob.zstd(tar_of({"middle": b"middle\n"}))
TOP = LayerBlob.plain(tar_of({"top": b"top\n"}))


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Host]:
    host = Host.at(tmp_path / "two")
    yield host
    host.database.close()


def pulled(host: Host, *layers: LayerBlob, tag: str = "latest") -> str:
    """The name of an image that *host* has pulled."""
    with RegistryServer() as registry:
        put_image(registry, REPOSITORY, layers, tag=tag)
        host.pull(registry, f":{tag}")
        return f"{registry.address}/{REPOSITORY}:{tag}"


def test_what_is_saved_is_loaded_the_same(host: Host, other: Host) -> None:
    name = pulled(host, BASE, MIDDLE, TOP)
    image = host.images.get(name)
    assert other.load(host.save(name)) == [Loaded(image=image.id, name=name)]
    again = other.images.get(name)
    assert (again.id, again.tags, again.diff_ids, again.size) == (image.id, image.tags, image.diff_ids, image.size)
    assert other.content.digests() == host.content.digests(), "the manifest and the very blobs go along"
    assert (other.layers.diff(Digest(MIDDLE.diff_id)) / "middle").read_bytes() == b"middle\n"
    assert other.save(name) == host.save(name), "the same images give the same archive"
    assert [event.action for event in other.events.past()] == ["load", "save"]


def test_a_repository_goes_with_all_its_tags_and_an_id_with_none(host: Host, other: Host) -> None:
    name = pulled(host, BASE)
    bare, image = name.rpartition(":")[0], host.images.get(name).id
    host.images.tag(name, Reference.parse(f"{bare}:2"))
    host.images.tag(name, Reference.parse("other:3"))
    assert [each.name for each in other.load(host.save(bare, "other:3"))] == [f"{bare}:2", name, "other:3"]
    assert other.load(host.save(image[7:19])) == [Loaded(image=Digest(image))]
    assert other.load(host.save(image)) == [Loaded(image=Digest(image))]
    with pytest.raises(ImageNotFound, match="No such image: nosuch:latest"):
        host.save(bare, "nosuch")
    with pytest.raises(InvalidParameter, match="name the images"):
        host.save()


def test_a_layer_of_ones_own_is_packed_again(host: Host, other: Host) -> None:
    """Its compressed copy is made where it is missing, from the files: the digest proves that nothing has changed."""
    name = pulled(host, BASE)
    made = host.images.add_layer(
        name, iter([host_layer(host)]), config={}, history={}, reference=Reference.parse("mine:1")
    )

    def copy() -> Digest | None:
        [blob] = {blob for _, blob in host.images.stores.records.layers(made)} - {Digest(BASE.digest)}
        return blob

    assert copy() is None, "nobody has asked for it yet"
    other.load(host.save("mine:1"))
    assert other.images.get("mine:1").id == made
    blob = copy()
    assert blob is not None, "and is kept for the next time"
    assert blob in host.images.stores.records.blobs(made)
    with host.database.transaction() as connection:
        connection.execute("UPDATE image_layers SET blob = NULL WHERE blob = ?", (blob,))
        connection.execute("DELETE FROM image_blobs WHERE digest = ?", (blob,))
    host.content.remove(blob)
    host.save("mine:1")
    assert copy() == blob
    assert host.content.has(blob)


def test_a_layer_of_ones_own_that_has_changed_is_refused(host: Host) -> None:
    name = pulled(host, BASE)
    made = host.images.add_layer(name, iter([host_layer(host)]), config={}, history={})
    with host.database.transaction() as connection:
        connection.execute("UPDATE image_layers SET blob = NULL WHERE image_id = ? AND position = 1", (made,))
    (host.layers.diff(host.images.get(made).diff_ids[1]) / "own").write_bytes(b"changed")
    with pytest.raises(DigestMismatch, match="do not give its digest any more"):
        host.save(made)


@pytest.mark.parametrize("layers", [[BASE], [BASE, TOP, MIDDLE]])
def test_an_archive_of_docker(host: Host, layers: list[LayerBlob]) -> None:
    image_id, archive = docker_archive(layers, tags=["debian:12", "127.0.0.1:5000/x/y:1"])
    assert [each.name for each in host.load(archive)] == ["debian:12", "127.0.0.1:5000/x/y:1"]
    image = host.images.get("debian:12")
    assert image.id == image_id
    assert image.tags == ("127.0.0.1:5000/x/y:1", "debian:12")
    assert (host.layers.diff(Digest(BASE.diff_id)) / "base").read_bytes() == b"base\n"
    loading = [each for each in host.seen if isinstance(each, LayerProgress)]
    assert {each.phase for each in loading} == {LoadPhase.LOADING}
    assert {each.layer for each in loading} == {layer.diff_id[7:19] for layer in layers}
    # Nothing but the image is left of the archive, and of its layers compressed copies.
    assert len(host.content.digests()) == 1 + len(layers)
    assert not list((host.root / "content/tmp").iterdir())
    host.images.remove("debian:12", in_use=lambda _: ())
    host.images.remove("127.0.0.1:5000/x/y:1", in_use=lambda _: ())
    assert host.traces() == []


def test_layers_that_are_here_are_not_loaded_again(host: Host) -> None:
    name = pulled(host, BASE)
    blobs = host.content.digests()
    image_id, archive = docker_archive([BASE, BASE], tags=["twice:1"])
    host.seen.clear()
    host.load(archive)
    assert not any(isinstance(each, LayerProgress) for each in host.seen)
    assert host.content.digests() == blobs | {Digest(image_id)}
    host.images.remove(name, in_use=lambda _: ())
    assert host.images.get("twice:1").id == image_id
    assert host.content.has(Digest(BASE.digest)), "the blob of the layer is kept for the image that is left"


def test_links_between_layers(host: Host) -> None:
    """Dockers from 1.10 to 24 write a layer that several images share as a link."""
    _, archive = docker_archive([BASE, TOP], tags=["a:1"], change={"Layers": ["0/layer.tar", "links/layer.tar"]})
    stream = io.BytesIO(archive)
    with tarfile.open(fileobj=stream, mode="a") as tar:
        link = tarfile.TarInfo("links/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../1/layer.tar"
        tar.addfile(link)
    assert [each.name for each in host.load(stream.getvalue())] == ["a:1"]


def test_a_name_that_moves_is_told(host: Host) -> None:
    first, archive = docker_archive([BASE], tags=["a:1"])
    host.load(archive)
    second, archive = docker_archive([TOP], tags=["a:1"])
    assert host.load(archive) == [Loaded(image=Digest(second), name="a:1", instead_of=Digest(first))]
    assert host.images.get(first).tags == ()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bz2.compress, lzma.compress])
def test_a_compressed_archive(host: Host, pack: Callable[[bytes], bytes]) -> None:
    image_id, archive = docker_archive([TOP], tags=["a:1"])
    host.load(pack(archive))
    assert host.images.get("a:1").id == image_id


@pytest.mark.parametrize(
    ("annotations", "name"),
    [
        ({"org.opencontainers.image.ref.name": "debian:12"}, "debian:12"),
        ({"org.opencontainers.image.ref.name": "12"}, ""),
        (
            {"io.containerd.image.name": "docker.io/library/debian:12", "org.opencontainers.image.ref.name": "12"},
            "debian:12",
        ),
        ({}, ""),
    ],
)
def test_an_oci_layout(host: Host, annotations: Mapping[str, str], name: str) -> None:
    files = layout([BASE, MIDDLE], annotations=annotations)
    [loaded] = host.load(tar_of(files))
    assert loaded.name == name
    assert host.images.get(name or loaded.image).diff_ids == (BASE.diff_id, MIDDLE.diff_id)
    assert host.content.digests() == {f"sha256:{path[13:]}" for path in files if path.startswith("blobs/")}


def test_an_import(host: Host) -> None:
    image_id = host.archives.import_(
        io.BytesIO(gzip.compress(BASE.tar)),
        change=change_of(["CMD sleep 1", "ENV a=b"]),
        message="mine",
        platform=Platform(os="linux", architecture="arm", variant="v6"),
        reference=Reference.parse("mine:1"),
        progress=host.seen.append,
    )
    image = host.images.get("mine:1")
    assert image.id == image_id
    assert image.diff_ids == (BASE.diff_id,)
    assert image.config.cmd == ("/bin/sh", "-c", "sleep 1")
    assert image.config.env == ("a=b",)
    assert (image.comment, str(image.platform)) == ("mine", "linux/arm/v6")
    assert [line.comment for line in host.images.history("mine:1")] == ["mine"]
    assert [event.action for event in host.events.past()] == ["tag", "import"]
    host.images.remove("mine:1", in_use=lambda _: ())
    assert host.traces() == []


def test_an_import_from_a_url(host: Host) -> None:
    with RegistryServer() as server:
        digest = server.add_blob("x", BASE.tar)
        url = f"http://{server.address}/v2/x/blobs/{digest}"
        image_id = host.archives.import_(url, progress=host.seen.append)
        assert host.images.get(image_id).diff_ids == (BASE.diff_id,)
        for wrong, words in (
            (f"{url}0", "failed to GET .* with status 404 Not Found"),
            ("file:///etc/passwd", "an address begins with http"),
            ("http://127.0.0.1:1/x", "connection refused"),
        ):
            with pytest.raises(EngineError, match=words):
                host.archives.import_(wrong, progress=host.seen.append)


def test_what_an_address_holds_stays_with_its_host(host: Host) -> None:
    with RegistryServer() as server, RegistryServer() as other:
        digest = other.add_blob("x", BASE.tar)
        server.fault("/blobs/", Redirect(f"http://{other.address}"))
        host.archives.import_(f"http://ada:secret@{server.address}/v2/x/blobs/{digest}", progress=host.seen.append)
    assert ["authorization" in request.headers for request in server.requests + other.requests] == [True, False]
    assert Message(text=f"Downloading from http://{server.address}/v2/x/blobs/{digest}") in host.seen


def test_an_import_from_a_silent_server_ends_when_it_is_cancelled(host: Host) -> None:
    cancel = threading.Event()
    with RegistryServer() as server, ThreadPoolExecutor(1) as pool:
        server.fault("/blobs/", Hang())
        importing = pool.submit(
            host.archives.import_,
            f"http://{server.address}/v2/x/blobs/{BASE.digest}",
            progress=host.seen.append,
            cancel=cancel,
        )
        wait_until(lambda: server.requests)
        cancel.set()
        with pytest.raises(Cancelled):
            importing.result(timeout=20)
    assert host.traces() == []


def test_a_change_that_cannot_be_made_is_refused_before_anything_is_read(host: Host) -> None:
    source = io.BytesIO(BASE.tar)
    with pytest.raises(InvalidParameter):
        host.archives.import_(source, change=change_of(["EXPOSE ${PORTS:?none}"]), progress=host.seen.append)
    assert source.tell() == 0


def test_a_load_is_cancelled(host: Host) -> None:
    _, archive = docker_archive([BASE, TOP], tags=["a:1"])
    cancel = threading.Event()

    def progress(_what: object) -> None:
        cancel.set()

    with pytest.raises(Cancelled):
        host.archives.load(io.BytesIO(archive), progress=progress, cancel=cancel)
    assert host.traces() == []


def test_loads_of_the_same_at_once(host: Host) -> None:
    image_id, archive = docker_archive([BASE, TOP], tags=["a:1"])
    threads = [threading.Thread(target=host.load, args=(archive,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert host.images.get("a:1").id == image_id
    for digest in host.images.stores.records.blobs(Digest(image_id)):
        assert host.content.has(digest)
