"""Archives that lie, climb or burst: each is refused in words, and leaves nothing in the stores and nothing outside."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from engine.errors import EngineError, InvalidParameter
from engine.images import archive as archive_module
from engine.images import decompress
from engine.images.model import Loaded
from engine.registry import media
from engine.snapshots.helper import UnpackLimits
from engine.snapshots.layers import LayerStore
from engine.types import Digest
from tests.fixtures.image_archives import docker_archive, layout
from tests.fixtures.image_host import Host
from tests.fixtures.image_maker import LayerBlob, digest_of
from tests.fixtures.raw_tar import archive, member
from tests.fixtures.tars import tar_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

BASE = LayerBlob.gzip(tar_of({"base": b"base\n"}))
TOP = LayerBlob.plain(tar_of({"top": b"top\n"}))
SECRET = b"root:x:0:0"


@pytest.fixture(autouse=True)
def _secret(tmp_path: Path) -> None:
    """A file beside the host's, which nothing may lead to."""
    (tmp_path / "secret.json").write_bytes(SECRET)


def refused(host: Host, data: bytes, words: str = "") -> str:
    """The refusal of *data*, which has left nothing behind."""
    with pytest.raises(EngineError) as caught:
        host.load(data)
    assert words in str(caught.value)
    assert SECRET.decode() not in str(caught.value)
    assert str(caught.value).isprintable()
    assert host.traces() == []
    assert not list((host.root / "content/tmp").iterdir())
    return str(caught.value)


def entries(change: Mapping[str, Any]) -> bytes:
    """Docker's archive whose list of images is changed."""
    return docker_archive([BASE, TOP], tags=["a:1"], change=change)[1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        bytes(512),
        bytes(10240),
        tar_of({}),
        tar_of({"etc/passwd": b"x"}),
        gzip.compress(b"no archive"),
        gzip.compress(tar_of({}))[:-10],
        zstandard.compress(tar_of({"a": b"b"})),
        b"\x1f\x8b" + os.urandom(1000),
        b"\xfd7zX" + os.urandom(1000),
        b"BZh9" + os.urandom(1000),
    ],
)
def test_what_is_no_archive_of_images(host: Host, data: bytes) -> None:
    refused(host, data)


def test_an_archive_that_is_cut_anywhere(host: Host) -> None:
    _, data = docker_archive([BASE, TOP], tags=["a:1"])
    end = data.index(b"manifest.json") + 600
    for length in range(1, end, max(end // 40, 1)):
        refused(host, data[:length])


@pytest.mark.parametrize(
    "name",
    [
        b"../secret.json",
        b"../../../../etc/passwd",
        b"/etc/passwd",
        b"a/../../secret.json",
        b"..",
        b"a/b/../../../x",
    ],
)
def test_members_whose_names_climb(host: Host, tmp_path: Path, name: bytes) -> None:
    refused(host, archive(member(name, content=b"changed")), "leads out of it")
    assert (tmp_path / "secret.json").read_bytes() == SECRET


@pytest.mark.parametrize("kind", [b"1", b"2"])
@pytest.mark.parametrize("target", [b"/etc/passwd", b"../../secret.json", b"../../../../../../../etc/passwd"])
def test_links_that_lead_out(host: Host, kind: bytes, target: bytes) -> None:
    refused(host, archive(member(b"manifest.json", kind=kind, link=target)), "leads out of it")


@pytest.mark.parametrize("kind", [b"1", b"2"])
def test_links_in_a_circle(host: Host, kind: bytes) -> None:
    loop = archive(member(b"manifest.json", kind=kind, link=b"b"), member(b"b", kind=kind, link=b"manifest.json"))
    refused(host, loop, "neither manifest.json")


@pytest.mark.parametrize("kind", [b"3", b"4", b"6"])
def test_devices_and_fifos(host: Host, kind: bytes) -> None:
    refused(host, archive(member(b"manifest.json", kind=kind, device=(1, 3))), "neither file, directory nor link")


@pytest.mark.parametrize(
    "change",
    [
        {"Config": "../secret.json"},
        {"Config": "/etc/passwd"},
        {"Config": "nosuch.json"},
        {"Config": ""},
        {"Config": None},
        {"Config": 5},
        {"Config": "0/layer.tar"},
        {"Config": "manifest.json"},
        {"Layers": ["0/layer.tar"]},
        {"Layers": ["0/layer.tar", "nosuch"]},
        {"Layers": ["0/layer.tar", "../secret.json"]},
        {"Layers": ["1/layer.tar", "0/layer.tar"]},
        {"Layers": ["0/layer.tar", "manifest.json"]},
        {"Layers": ["0/layer.tar"] * 3000},
        {"Layers": [["0/layer.tar"]]},
        {"Layers": "0/layer.tar"},
        {"Layers": {"0": "layer.tar"}},
        {"RepoTags": ["UPPER:1"]},
        {"RepoTags": ["a@sha256:" + "1" * 64]},
        {"RepoTags": ["1" * 64]},
        {"RepoTags": ["a b"]},
        {"RepoTags": ["../a:1"]},
        {"RepoTags": ["\x1b[2J:1"]},
        {"RepoTags": "a:1"},
        {"RepoTags": [5]},
    ],
)
def test_lists_of_images_that_lie(host: Host, change: Mapping[str, Any]) -> None:
    refused(host, entries(change))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"5",
        b"null",
        b"[5]",
        b"[null]",
        b"[[]]",
        b"[{}]",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"\xff\xfe[]",
        b"[" + b" " * (5 * 1024 * 1024) + b"]",
        json.dumps([{"Config": "x", "RepoTags": None, "Layers": []}] * 2000).encode(),
    ],
)
def test_lists_of_images_that_are_none(host: Host, document: bytes) -> None:
    refused(host, tar_of({"manifest.json": document}))


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"[]",
        b"{}",
        b'{"rootfs": {"type": "layers", "diff_ids": ["sha256:1"]}}',
        b'{"rootfs": {"type": "layers", "diff_ids": 5}}',
        b'{"rootfs": {"type": "other", "diff_ids": []}}',
        b'{"os": "windows", "rootfs": {"type": "layers", "diff_ids": []}}',
        b'{"os": "\\u001b[2J", "rootfs": {"type": "layers", "diff_ids": []}}',
        b'{"rootfs": {"type": "layers", "diff_ids": ["../../../etc/passwd"]}}',
        b'{"config": {"Env": 5}, "rootfs": {"type": "layers", "diff_ids": []}}',
        b" " * (5 * 1024 * 1024),
    ],
)
def test_configs_that_are_none(host: Host, config: bytes) -> None:
    listed = json.dumps([{"Config": "c", "RepoTags": ["a:1"], "Layers": []}]).encode()
    refused(host, tar_of({"c": config, "manifest.json": listed}))


def test_a_layer_that_is_another(host: Host) -> None:
    refused(host, docker_archive([BASE, TOP], files={"1/layer.tar": tar_of({"other": b""})})[1], "invalid diffID")


def test_layers_that_climb_stay_in_the_layer(host: Host, tmp_path: Path) -> None:
    tar = archive(member(b"../../secret.json", content=b"changed"))
    refused(host, docker_archive([BASE, LayerBlob.plain(tar)], tags=["a:1"])[1])
    assert (tmp_path / "secret.json").read_bytes() == SECRET


def index_of(**change: Any) -> Callable[[dict[str, bytes]], None]:
    def apply(files: dict[str, bytes]) -> None:
        index = json.loads(files["index.json"])
        index["manifests"][0].update(change)
        files["index.json"] = json.dumps(index).encode()

    return apply


def without(part: Callable[[str, bytes], bool]) -> Callable[[dict[str, bytes]], None]:
    def apply(files: dict[str, bytes]) -> None:
        for name in [name for name, data in files.items() if name.startswith("blobs/") and part(name, data)]:
            del files[name]

    return apply


def swapped(files: dict[str, bytes]) -> None:
    """The layer's bytes are other ones, of the same length."""
    name = f"blobs/sha256/{BASE.digest[7:]}"
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])


def looping(files: dict[str, bytes]) -> None:
    """An index that leads to an index, and so on."""
    described: dict[str, Any] = json.loads(files["index.json"])["manifests"][0]
    for _ in range(5):
        data = json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [described]}).encode()
        files[f"blobs/sha256/{digest_of(data)[7:]}"] = data
        described = {"mediaType": media.OCI_INDEX, "digest": digest_of(data), "size": len(data)}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [described]}).encode()


def ambiguous(files: dict[str, bytes]) -> None:
    """A manifest that is an image and an index at once (CVE-2021-41190)."""
    entry = json.loads(files["index.json"])["manifests"][0]
    manifest = json.loads(files.pop(f"blobs/sha256/{entry['digest'][7:]}"))
    data = json.dumps({**manifest, "manifests": []}).encode()
    files[f"blobs/sha256/{digest_of(data)[7:]}"] = data
    index_of(digest=digest_of(data), size=len(data))(files)


@pytest.mark.parametrize(
    "damage",
    [
        index_of(digest="sha256:" + "1" * 64),
        index_of(digest="../../secret.json"),
        index_of(digest="sha512:" + "1" * 128),
        index_of(digest=None),
        index_of(size=1),
        index_of(size=-1),
        index_of(size="many"),
        index_of(mediaType=media.DOCKER_MANIFEST),
        index_of(mediaType=media.OCI_INDEX),
        index_of(annotations={"io.containerd.image.name": "UPPER:1"}),
        index_of(annotations={"org.opencontainers.image.ref.name": "a@sha256:" + "1" * 64}),
        without(lambda name, _: name.endswith(BASE.digest[7:])),
        without(lambda _, data: b"diff_ids" in data),
        without(lambda _, data: b"schemaVersion" in data),
        swapped,
        looping,
        ambiguous,
    ],
)
def test_layouts_that_point_elsewhere(host: Host, damage: Callable[[dict[str, bytes]], None]) -> None:
    files = layout([BASE], annotations={})
    damage(files)
    refused(host, tar_of(files))


def test_two_lists_that_disagree(host: Host) -> None:
    """Docker's decides what there is; the other may add manifests, and only those that fit."""
    image_id, data = docker_archive([BASE], tags=["a:1"])
    other = layout([TOP], annotations={"io.containerd.image.name": "docker.io/library/evil:1"})
    _, data = docker_archive([BASE], tags=["a:1"], files=other)
    assert host.load(data) == [Loaded(image=Digest(image_id), name="a:1")]
    assert [image.tags for image in host.images.list(all=True)] == [("a:1",)]
    assert len(host.content.digests()) == 2


def test_too_many_members(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "ENTRY_LIMIT", 100)
    refused(host, archive(*(member(b"%d" % number) for number in range(101))), "more than the 100 entries allowed")


def test_the_last_of_two_names_counts(host: Host) -> None:
    image_id, data = docker_archive([TOP], tags=["a:1"])
    first = tar_of({"manifest.json": b"[]"})[:-1024].rstrip(b"\0")
    first += bytes(-len(first) % 512)
    assert host.load(first + data) == [Loaded(image=Digest(image_id), name="a:1")]


def test_bombs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.layers.limits = UnpackLimits(bytes=2_000_000, entries=1000)  # type: ignore[misc]
    monkeypatch.setattr(decompress, "_HEADERS", 0)
    zeros = tar_of({"zeros": bytes(3_000_000)})
    refused(host, gzip.compress(zeros), "more than the 2000000 bytes allowed")
    bomb = LayerBlob(zeros, zstandard.compress(zeros), "")
    files = {"0/layer.tar": bomb.blob}
    refused(host, docker_archive([bomb], tags=["a:1"], files=files)[1])
    many = LayerBlob.gzip(archive(*(member(b"%d" % number) for number in range(1001))))
    refused(
        host, docker_archive([many], tags=["a:1"], files={"0/layer.tar": many.blob})[1], "more than the 1000 entries"
    )
    monkeypatch.setattr(decompress, "_RATIO_FREE", 1000)
    host.layers.limits = UnpackLimits(ratio=100)  # type: ignore[misc]
    refused(host, gzip.compress(zeros), "more than 100 times its size")


@pytest.mark.parametrize(
    "data",
    [
        b"no tar",
        gzip.compress(tar_of({"a": b"b"}))[:-9],
        archive(member(b"../../secret.json", content=b"changed")),
        archive(member(b"a", size=10**12)),
    ],
)
def test_imports_that_are_refused(host: Host, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidParameter):
        host.archives.import_(io.BytesIO(data), progress=host.seen.append)
    assert host.traces() == []
    assert (tmp_path / "secret.json").read_bytes() == SECRET


@pytest.mark.slow
def test_a_directory_of_a_hundred_thousand(tmp_path: Path) -> None:
    """It is unpacked, listed by the check and removed, without a list of it all in memory twice over."""
    host = Host.at(tmp_path / "many")
    tar = archive(*(member(b"d/%06d" % number) for number in range(100_000)))
    image = host.archives.import_(io.BytesIO(tar), progress=host.seen.append)
    files = host.layers.diff(host.images.get(image).diff_ids[0]) / "d"
    assert sum(1 for _ in os.scandir(files)) == 100_000
    host.images.remove(image, in_use=lambda _: ())
    assert host.traces() == []
    host.database.close()
    assert LayerStore(host.root / "layers").diff_ids() == set()
