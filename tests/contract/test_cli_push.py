"""The docker CLI and push, against a registry that is empty at first; and dockerd pulls what Havre pushed."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon
from tests.fixtures.registry import Registry

PORT = 5001


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both engines' registries keep: the one that serves the images is everybody's and stays as it is."""
    return tmp_path_factory.mktemp("pushed")


@pytest.fixture(scope="module")
def target(daemon: Daemon, storage: Path) -> Iterator[str]:
    """A registry of one's own in the engine's namespace; its address."""
    with Registry(storage, namespace=daemon.namespace, port=PORT) as registry:
        yield registry.address


@pytest.fixture
def place(daemon: Daemon, target: str) -> str:
    """A name in the registry that no other test uses."""
    return f"{target}/pushed/{daemon.kind}"


@pytest.fixture
def own_image(daemon: Daemon, busybox: str, tmp_path: Path) -> Iterator[str]:
    """An image with a layer of the engine's own making, unlike any other."""
    container = daemon.docker("create", busybox, "true").stdout.strip()
    (tmp_path / "own").write_text(secrets.token_hex())
    daemon.docker("cp", str(tmp_path / "own"), f"{container}:/own")
    name = daemon.docker("commit", container).stdout.strip()
    daemon.docker("rm", container)
    yield name
    daemon.docker("rmi", "-f", name, check=False)


def test_push_tells_layers_and_digest(daemon: Daemon, own_image: str, place: str) -> None:
    daemon.docker("tag", own_image, f"{place}:1")
    out = daemon.docker("push", f"{place}:1").stdout.splitlines()
    assert out[0] == f"The push refers to repository [{place}]"
    assert any(re.fullmatch(r"[0-9a-f]{12}: Preparing", line) for line in out)
    assert any(re.fullmatch(r"[0-9a-f]{12}: Pushed", line) for line in out)
    assert re.fullmatch(r"1: digest: sha256:[0-9a-f]{64} size: \d+", out[-1])
    again = daemon.docker("push", f"{place}:1").stdout.splitlines()
    assert [line for line in again if line.endswith("Layer already exists")]
    assert again[-1] == out[-1]
    [digest] = json.loads(daemon.docker("image", "inspect", f"{place}:1").stdout)[0]["RepoDigests"]
    assert digest == f"{place}@{out[-1].split()[2]}"


def test_what_was_pushed_is_pulled_back_the_same(daemon: Daemon, own_image: str, place: str) -> None:
    daemon.docker("tag", own_image, f"{place}:2")
    digest = daemon.docker("push", f"{place}:2").stdout.splitlines()[-1].split()[2]
    daemon.docker("rmi", "-f", own_image)
    assert f"Digest: {digest}" in daemon.docker("pull", f"{place}:2").stdout
    assert daemon.docker("image", "inspect", "-f", "{{.Id}}", f"{place}@{digest}").stdout.strip() == own_image
    daemon.docker("rmi", f"{place}:2")


def test_push_of_all_tags(daemon: Daemon, busybox: str, place: str) -> None:
    for tag in ("a", "b"):
        daemon.docker("tag", busybox, f"{place}-all:{tag}")
    out = daemon.docker("push", "-a", f"{place}-all").stdout
    assert re.search(r"^a: digest: ", out, re.MULTILINE)
    assert re.search(r"^b: digest: ", out, re.MULTILINE)
    daemon.docker("rmi", f"{place}-all:a", f"{place}-all:b")


def test_push_of_what_is_not_there(daemon: Daemon, busybox: str, place: str) -> None:
    result = daemon.docker("push", f"{place}/nosuch:1", check=False)
    assert result.returncode == 1
    assert f"An image does not exist locally with the tag: {place}/nosuch" in result.stderr
    daemon.docker("tag", busybox, "127.0.0.1:1/x:1")
    result = daemon.docker("push", "127.0.0.1:1/x:1", check=False)
    assert result.returncode == 1
    assert "refused" in result.stderr
    daemon.docker("rmi", "127.0.0.1:1/x:1")


def test_a_layer_is_mounted_from_the_repository_it_is_in(daemon: Daemon, own_image: str, place: str) -> None:
    for name in (f"{place}/first:1", f"{place}/second:1"):
        daemon.docker("tag", own_image, name)
    daemon.docker("push", f"{place}/first:1")
    assert f"Mounted from pushed/{daemon.kind}/first" in daemon.docker("push", f"{place}/second:1").stdout


def test_dockerd_pulls_what_havre_pushed(havre: HavreDaemon, dockerd: PeerDaemon, storage: Path) -> None:
    """Each has a registry on the same storage, and the manifest's digest says that it is the same image."""
    with ExitStack() as stack:
        for engine in (havre, dockerd):
            stack.enter_context(Registry(storage, namespace=engine.namespace, port=PORT + 1))
        container = havre.docker("create", "busybox", "true").stdout.strip()
        havre.docker("cp", "/etc/hostname", f"{container}:/own")
        name = f"127.0.0.1:{PORT + 1}/between:1"
        image = havre.docker("commit", container, name).stdout.strip()
        digest = havre.docker("push", name).stdout.splitlines()[-1].split()[2]
        assert f"Digest: {digest}" in dockerd.docker("pull", name).stdout
        assert dockerd.docker("image", "inspect", "-f", "{{.Id}}", name).stdout.strip() == image
        assert dockerd.docker("run", "--rm", name, "cat", "/own").stdout
        for engine in (havre, dockerd):
            engine.remove_everything()
            engine.docker("rmi", name)
