"""Podman and skopeo beside Havre: what one pushed or saved the others pull and load, as the same image."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import scratch_directory
from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.namespaces import Namespace
from tests.fixtures.registry import Registry

PORT = 5001
needs_podman = pytest.mark.skipif(not shutil.which("podman"), reason="podman is not installed: apt-get install podman")


class Podman:
    """Podman with a storage of its own in *directory*, in an engine's network namespace."""

    def __init__(self, directory: Path, namespace: Namespace) -> None:
        self._namespace = namespace
        self._options = (
            f"--root={directory / 'root'}",
            f"--runroot={directory / 'run'}",
            f"--tmpdir={directory / 'tmp'}",
            "--storage-driver=vfs",
            "--events-backend=none",
        )

    def run(self, *arguments: str) -> str:
        done = self._namespace.run("podman", *self._options, *arguments)
        return done.stdout.strip()

    def image(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("image", "inspect", name))[0]
        return found


@pytest.fixture(scope="module")
def podman(havre: HavreDaemon) -> Iterator[Podman]:
    with scratch_directory() as directory:
        podman = Podman(directory, havre.namespace)
        yield podman
        podman.run("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def registry(havre: HavreDaemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry"), namespace=havre.namespace, port=PORT) as registry:
        yield registry


@pytest.fixture(scope="module")
def own(havre: HavreDaemon) -> str:
    """An image of two layers, the second of Havre's own making."""
    havre.docker("pull", "-q", "alpine")
    container = havre.docker("create", "alpine", "true").stdout.strip()
    havre.docker("cp", "/etc/hostname", f"{container}:/own")
    havre.docker("commit", container, "own:1")
    havre.docker("rm", container)
    return "own:1"


def image(havre: HavreDaemon, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(havre.docker("image", "inspect", name).stdout)[0]
    return found


@needs_podman
def test_podman_pulls_what_havre_pushed_and_the_other_way(
    havre: HavreDaemon, podman: Podman, registry: Registry, own: str
) -> None:
    name, back = f"{registry.address}/own:1", f"{registry.address}/back:1"
    havre.docker("tag", own, name)
    digest = havre.docker("push", name).stdout.splitlines()[-1].split()[2]
    podman.run("pull", "--quiet", "--tls-verify=false", name)
    found, original = podman.image(name), image(havre, own)
    assert (f"sha256:{found['Id']}", found["Digest"]) == (original["Id"], digest)
    assert found["RootFS"]["Layers"] == original["RootFS"]["Layers"]
    podman.run("tag", name, back)
    podman.run("push", "--quiet", "--tls-verify=false", back)
    havre.docker("rmi", name)
    havre.docker("pull", "-q", back)
    assert image(havre, back)["RootFS"] == original["RootFS"]
    assert havre.docker("run", "--rm", back, "cat", "/own").stdout
    havre.docker("rmi", back)
    podman.run("rmi", name, back)


@needs_podman
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_havre_loads_what_podman_saved(
    havre: HavreDaemon, podman: Podman, registry: Registry, own: str, tmp_path: Path, form: str
) -> None:
    name, archive = f"{registry.address}/{form}:1", tmp_path / "archive.tar"
    havre.docker("tag", own, name)
    havre.docker("push", "-q", name)
    podman.run("pull", "--quiet", "--tls-verify=false", name)
    podman.run("save", "--quiet", "--format", form, "--output", str(archive), name)
    original = image(havre, own)
    havre.docker("rmi", name)
    assert havre.docker("load", "-i", str(archive)).stdout == f"Loaded image: {name}\n"
    found = image(havre, name)
    assert found["RootFS"] == original["RootFS"]
    assert found["Config"]["Cmd"] == original["Config"]["Cmd"]
    assert havre.docker("run", "--rm", name, "cat", "/own").stdout
    havre.docker("rmi", name)
    podman.run("rmi", name)


@needs_podman
def test_podman_loads_what_havre_saved(havre: HavreDaemon, podman: Podman, own: str, tmp_path: Path) -> None:
    archive, original = tmp_path / "archive.tar", image(havre, own)
    havre.docker("tag", own, "example.org/saved:2")
    havre.docker("save", "-o", str(archive), own, "example.org/saved:2")
    told = podman.run("load", "--quiet", "--input", str(archive))
    # Podman puts names without a registry under localhost, those of Docker's own archives too.
    for name in ("localhost/own:1", "example.org/saved:2"):
        assert name in told
        found = podman.image(name)
        assert f"sha256:{found['Id']}" == original["Id"]
        assert found["RootFS"]["Layers"] == original["RootFS"]["Layers"]
    havre.docker("rmi", "example.org/saved:2")
    podman.run("rmi", "--all", "--force")


def skopeo(havre: HavreDaemon, source: str, target: str, *options: str) -> None:
    command = ["skopeo", "copy", "--quiet", "--insecure-policy", *options, source, target]
    subprocess.run([*havre.namespace.prefix, *command], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_skopeo_carries_images_between_archives_and_registries(
    havre: HavreDaemon, registry: Registry, own: str, tmp_path: Path, form: str
) -> None:
    saved, again = tmp_path / "saved.tar", tmp_path / "again.tar"
    name, original = f"{registry.address}/skopeo/{form}:1", image(havre, own)
    havre.docker("save", "-o", str(saved), own)
    skopeo(havre, f"{form}:{saved}", f"docker://{name}", "--dest-tls-verify=false")
    havre.docker("pull", "-q", name)
    assert image(havre, name)["RootFS"] == original["RootFS"]
    havre.docker("rmi", name)
    skopeo(havre, f"docker://{name}", f"{form}:{again}:{name}", "--src-tls-verify=false")
    assert havre.docker("load", "-i", str(again)).stdout == f"Loaded image: {name}\n"
    assert image(havre, name)["RootFS"] == original["RootFS"]
    havre.docker("rmi", name)
