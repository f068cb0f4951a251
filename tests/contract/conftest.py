"""What the contract's tests share: the image that they run, on a daemon that is empty afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import scratch_directory
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


@pytest.fixture
def shared_tree() -> Iterator[Path]:
    """A directory of the host whose mounts others may share, and which has a file system below it."""
    with scratch_directory() as directory:
        subprocess.run(["mount", "-t", "tmpfs", "tree", directory], check=True)
        subprocess.run(["mount", "--make-shared", directory], check=True)
        (directory / "below").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "below", directory / "below"], check=True)
        try:
            yield directory
        finally:
            subprocess.run(["umount", "-R", directory], check=True)
