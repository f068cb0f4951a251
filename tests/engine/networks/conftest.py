"""A host of its own for each test, with a neighbour beyond it, and the network service of an engine on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import needs_root
from tests.fixtures.netlab import Lab, LabService, lab


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Lab]:
    needs_root()
    with lab(tmp_path) as made:
        yield made


@pytest.fixture
def networks(host: Lab) -> LabService:
    return host.service()
