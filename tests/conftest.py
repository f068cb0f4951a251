"""What every suite may ask for: a registry with real images, and daemons in network namespaces of their own.

def test_something(havre):                 # Havre's daemon, shared by the tests of a module
    havre.docker("run", "--rm", "busybox", "true")

def test_on_both(daemon):                  # the same test against Havre and against dockerd, where that is installed
    daemon.docker("version")
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon
from tests.fixtures.leaks import nothing_left_behind
from tests.fixtures.namespaces import Namespace
from tests.fixtures.registry import Registry, image_storage

# A machine that has other things to do is no defect.
settings.register_profile("havre", deadline=None)
settings.load_profile("havre")


@pytest.fixture(scope="session")
def image_cache() -> Path:
    """The registry's storage with `debian`, `busybox` and `alpine`; made at the first run (about a minute)."""
    needs_root()
    return image_storage()


@pytest.fixture(scope="session")
def registry(image_cache: Path) -> Iterator[Registry]:
    """The images' registry on the host's own loopback, for an engine inside the test's process."""
    with Registry(image_cache) as registry:
        yield registry


@pytest.fixture(scope="module")
def havre(image_cache: Path) -> Iterator[HavreDaemon]:
    """Havre's daemon, and a check that it leaves nothing behind when the module's tests are done."""
    with running(HavreDaemon, image_cache) as daemon:
        assert isinstance(daemon, HavreDaemon)
        yield daemon


@pytest.fixture(scope="module")
def dockerd(image_cache: Path) -> Iterator[PeerDaemon]:
    """The peer, for tests that compare answers."""
    needs_dockerd()
    with running(PeerDaemon, image_cache) as daemon:
        assert isinstance(daemon, PeerDaemon)
        yield daemon


@pytest.fixture(scope="module", params=["havre", "dockerd"])
def daemon(request: pytest.FixtureRequest) -> Daemon:
    """Havre and dockerd in turn: what a test says must be true of both."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Daemon)
    return found


@contextmanager
def running(kind: type[Daemon], image_cache: Path, *, mirrors: Sequence[str] = ()) -> Iterator[Daemon]:
    """A daemon of *kind* in a namespace of its own, with the images as mirror of the default registry.

    *mirrors* are asked for what is not there; they need not run yet.
    """
    with (
        scratch_directory() as directory,
        nothing_left_behind(words=[str(directory)]) as words,
        Namespace() as namespace,
        Registry(image_cache, namespace=namespace) as registry,
        kind(directory, namespace=namespace, mirrors=[registry.url, *mirrors]) as daemon,
    ):
        words += daemon.words()
        yield daemon


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A short path in memory: unix sockets have 107 characters, and ext4 is slow after a mass delete."""
    parent = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
    directory = Path(tempfile.mkdtemp(prefix="havre-test-", dir=parent))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=False)


def needs_dockerd() -> None:
    if unlike := PeerDaemon.unlike():
        pytest.skip(unlike)


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("engines need root: run sudo ./tests/run")
