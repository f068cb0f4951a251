"""A daemon that is killed in the middle of a build: the next one finds nothing half made, and builds."""

from __future__ import annotations

import pytest

from tests.fixtures.builds import Told, build
from tests.fixtures.engine_host import EngineHost

DOCKERFILE = """FROM box AS other
RUN echo 1 > /one
FROM box
RUN --mount=type=cache,target=/c echo first; echo 2 > /two; sleep 0.2
COPY --from=other /one /
WORKDIR /w
"""
POINTS = (
    "before engine.containers.runtime.compiled_filters:CompiledFilters.learn",  # while a command runs
    "after engine.snapshots.adoption:AdoptedLayer.commit",
    "before engine.build.cache:BuildCache.add",
)
MORE_POINTS = (
    "after engine.build.scratch:Scratch.directory",
    "after engine.snapshots.store:SnapshotStore.prepare",
    "after engine.networks.service:NetworkService.open",
    "before engine.build.cachemounts:CacheMounts.lent",
    "after engine.build.sealing:Sealer.adopt",
    "after engine.snapshots.adoption:AdoptedLayer.hash",
    "after engine.build.cache:BuildCache.add",
    "before engine.build.cache:BuildCache.note_result",
    "before engine.snapshots.adoption:AdoptedLayer.close",
)


@pytest.mark.parametrize("point", [*POINTS, *(pytest.param(point, marks=pytest.mark.slow) for point in MORE_POINTS)])
def test_a_kill_leaves_nothing_half_made(host: EngineHost, point: str) -> None:
    with host.engine() as engine:
        engine.builds.prune(all=True)
        for image in engine.images.list(all=True):
            if not image.tags:
                engine.images.remove(str(image.id), force=True, in_use=engine.containers.uses)
    host.dies(point, "build", DOCKERFILE)
    with host.engine() as engine:
        assert not host.processes(engine)
        assert host.traces() == {}
        for place in ("root/builds", "root/repositories", "run/builds"):
            assert not list((host.directory / place).iterdir())
        names = [entry.name for entry in (host.config.root / "layers").iterdir()]
        assert not [name for name in names if name.startswith("tmp-")]
        layers = {diff_id for image in engine.images.list(all=True) for diff_id in image.diff_ids}
        assert engine.layers.diff_ids() == layers
        told = Told()
        build(engine, DOCKERFILE, told=told)
        build(engine, DOCKERFILE, told=told)
        assert len(told.cached) >= 4
