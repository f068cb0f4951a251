"""An engine on a host of its own, for the modules that share one from test to test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.engine import Engine
from tests.conftest import needs_root
from tests.fixtures.engine_host import EngineHost, engine_host


@pytest.fixture(scope="module")
def host() -> Iterator[EngineHost]:
    needs_root()
    with engine_host() as host:
        yield host


@pytest.fixture(scope="module")
def engine(host: EngineHost) -> Iterator[Engine]:
    with host.engine() as engine:
        yield engine
