"""The image part of an engine on directories of its own, and a small registry that can misbehave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.image_host import Host
from tests.fixtures.registry_server import RegistryServer


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host.at(tmp_path / "host")
    yield host
    host.database.close()
