"""The engine as a whole: one for each directory, and nothing of it left when it ends."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import pytest

from engine.engine import Engine
from engine.errors import Conflict
from tests.fixtures.engine_host import EngineHost


@pytest.mark.parametrize("shared", ["run", "root"])
def test_two_engines_cannot_share_a_directory(host: EngineHost, shared: str) -> None:
    other = replace(
        host.config,
        bridge=f"hve{os.getpid():x}",
        **{name: host.directory / f"other-{name}" for name in ("root", "run") if name != shared},
    )
    with host.engine():
        with pytest.raises(Conflict, match=f"another engine already uses {host.directory}/{shared}: stop it"):
            Engine(other)
        with pytest.raises(Conflict):
            Engine(host.config)
    with host.engine() as engine:
        assert engine.images.list()


def test_root_and_run_may_be_one_directory(host: EngineHost) -> None:
    both = host.directory / "both"
    with Engine(replace(host.config, root=both, run=both)) as engine:
        engine.networks.purge()


def test_closing_leaves_no_thread_and_no_container_behind(host: EngineHost) -> None:
    before = set(threading.enumerate())
    with host.engine() as engine:
        container_id = host.run(engine, "sleep", "1000")
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()
    with host.engine() as engine:
        assert engine.containers.get(container_id).state.running
        engine.containers.remove(container_id, force=True)


def test_events_after_a_start_tell_of_no_start(host: EngineHost) -> None:
    with host.engine() as engine:
        container_id = host.run(engine, "sleep", "1000")
    with host.engine() as engine:
        assert [event for event in engine.events.past() if event.actor == container_id] == []
        engine.containers.remove(container_id, force=True)
