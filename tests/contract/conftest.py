"""What the contract's tests share: the image that they run, on a daemon that is empty afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.daemons import Daemon


@pytest.fixture
def busybox(daemon: Daemon) -> str:
    """The image, pulled where it is missing: asking a registry for every test costs dockerd seconds."""
    if daemon.docker("image", "inspect", "busybox", check=False).returncode:
        daemon.docker("pull", "-q", "busybox")
    return "busybox"


@pytest.fixture
def clean(daemon: Daemon, busybox: str) -> Iterator[None]:
    """The image is there, and no container outlives the test."""
    yield
    daemon.remove_everything()
