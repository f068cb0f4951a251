"""The daemon is killed in the middle of pulls, loads, saves, pushes, imports and removals: the next one finds whole
images only, nothing else in the stores, and the same command works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import pytest

from engine.engine import Engine
from engine.images.checking import Inspection
from tests.conftest import needs_root
from tests.fixtures.crash_images import IMAGE_OPERATIONS, Sources, names
from tests.fixtures.crash_points import Given, Operation
from tests.fixtures.engine_host import EngineHost, engine_host
from tests.fixtures.image_archives import docker_archive
from tests.fixtures.image_maker import LayerBlob, put_image
from tests.fixtures.registry_server import RegistryServer
from tests.fixtures.tars import tar_of
from tests.fixtures.victims import Victims

KILLS: Final = int(os.environ.get("HAVRE_TEST_CRASH_POINTS", "340"))

BASE: Final = LayerBlob.gzip(tar_of({"base": b"base\n", "etc/noise": os.urandom(1_500_000)}))
MIDDLE: Final = LayerBlob.zstd(tar_of({"middle": b"middle\n"}))
TOP: Final = LayerBlob.plain(tar_of({"top": os.urandom(200_000)}))


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    needs_root()
    with engine_host() as host, RegistryServer() as registry:
        with host.engine():
            pass
        _put_sources(host, registry)
        victims = Victims(host, IMAGE_OPERATIONS, module="tests.fixtures.crash_images", holds=_holds, clean=_clean)
        try:
            yield victims
        finally:
            victims.close()


def _put_sources(host: EngineHost, registry: RegistryServer) -> None:
    for number, layers in enumerate(([BASE], [BASE, MIDDLE], [BASE, TOP, MIDDLE])):
        put_image(registry, f"pulled/{number}", layers)
    archive, files = host.directory / "archive.tar", host.directory / "files.tar"
    archive.write_bytes(docker_archive([BASE, TOP], tags=["loaded:1", "loaded:2"])[1])
    files.write_bytes(tar_of({"etc/motd": b"hello\n", "etc/noise": os.urandom(1_500_000)}))
    Sources(
        registry=registry.address,
        pulled=tuple(f"{registry.address}/pulled/{number}:latest" for number in range(3)),
        archive=str(archive),
        loaded=("loaded:1", "loaded:2"),
        files=str(files),
    ).keep(host)


@pytest.mark.slow
@pytest.mark.timeout(600 + 20 * KILLS)
def test_killed_at_every_point(victims: Victims) -> None:
    print(victims.killed_evenly(KILLS))


@pytest.mark.parametrize("verb", ["pulls at once", "load", "push"])
def test_killed_in_the_middle(victims: Victims, verb: str) -> None:
    """The same for two points each, so that the short run notices as well when something has come undone."""
    points = victims.points_of(verb)
    chosen = [(verb, number, points[number - 1]) for number in (len(points) // 3, 2 * len(points) // 3)]
    kills, violations = victims.killed(chosen)
    assert violations == []
    assert kills


def _holds(host: EngineHost, engine: Engine, operation: Operation, given: Given) -> None:
    """The stores are in order, the operation can be done again, and nothing stays when its images go."""
    _in_order(host, engine)
    operation.act(host, engine, given)
    assert operation.after(engine, given), "it does nothing when it is done again"
    _in_order(host, engine)
    _clean(engine)
    _in_order(host, engine)
    assert names(engine) == {host.image}


def _in_order(host: EngineHost, engine: Engine) -> None:
    """What lies on the disk is what the rows need, whole and counted, and nobody holds any of it."""
    stores, root = engine.images.stores, host.config.root
    assert [str(finding) for finding in Inspection(stores, repair=False).run()] == []
    assert list((root / "content/tmp").iterdir()) == []
    assert [entry.name for entry in (root / "layers").iterdir() if entry.name.startswith("tmp-")] == []
    every = stores.content.digests() | stores.layers.diff_ids()
    assert [digest for digest in every if stores.collector.held(digest)] == []
    usage = engine.images.usage(in_use=engine.containers.uses)
    assert usage.compressed == sum(file.stat().st_size for file in (root / "content/blobs/sha256").iterdir())
    assert usage.layers == sum(
        file.lstat().st_size
        for diff_id in stores.layers.diff_ids()
        for file in stores.layers.diff(diff_id).rglob("*")
        if file.is_symlink() or file.is_file()
    )


def _clean(engine: Engine) -> None:
    for image in engine.images.list():
        if "box:latest" not in image.tags:
            engine.images.remove(image.id, force=True, in_use=engine.containers.uses)
