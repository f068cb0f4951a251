"""The docker CLI at registries that want a password or a token, and at one with images for several platforms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.daemons import Daemon, HavreDaemon
from tests.fixtures.image_maker import LayerBlob, put_image, put_index
from tests.fixtures.registry import Registry
from tests.fixtures.registry_server import Account, RegistryServer
from tests.fixtures.tars import tar_of

PORT = 5005
LAYER = LayerBlob.gzip(tar_of({"etc/motd": b"hello\n"}))


@pytest.fixture
def images(daemon: Daemon) -> Iterator[None]:
    """Those that a test has brought go again."""
    yield
    for name in daemon.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split():
        if name.startswith("127.0.0.1:"):
            daemon.docker("rmi", name)


@pytest.mark.usefixtures("images")
def test_a_registry_with_passwords(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    with Registry(tmp_path, namespace=daemon.namespace, port=PORT, account=("ada", "secret")) as registry:
        signs_in_pushes_and_pulls(daemon, registry.address, busybox)


def test_a_registry_with_tokens(havre: HavreDaemon) -> None:
    havre.docker("pull", "-q", "busybox")
    with havre.namespace.call(lambda: RegistryServer(Account("ada", "secret"))) as server:
        signs_in_pushes_and_pulls(havre, server.address, "busybox")
        havre.docker("rmi", f"{server.address}/team/app:1")


def signs_in_pushes_and_pulls(daemon: Daemon, guarded: str, image: str) -> None:
    """At a registry that lets in `ada` with `secret`."""
    name = f"{guarded}/team/app:1"
    daemon.docker("tag", image, name)
    for command in (("push", name), ("pull", name)):
        # It does not ask for a name: nobody is at a terminal here.
        assert daemon.docker(*command, check=False, timeout=60).returncode == 1
    login = ("login", "-u", "ada", "--password-stdin", guarded)
    wrong = daemon.docker(*login, stdin="wrong", check=False)
    assert (wrong.returncode, "wrong" in wrong.stderr) == (1, False)
    assert "Login Succeeded" in daemon.docker(*login, stdin="secret").stdout
    digest = daemon.docker("push", name).stdout.splitlines()[-1].split()[2]
    daemon.docker("rmi", name)
    assert f"Digest: {digest}" in daemon.docker("pull", name).stdout
    daemon.docker("logout", guarded)
    assert daemon.docker("pull", name, check=False).returncode == 1


@pytest.mark.usefixtures("images")
def test_pull_for_another_platform(daemon: Daemon) -> None:
    with daemon.namespace.call(RegistryServer) as server:
        made = {
            platform: put_image(
                server, "x", [LAYER], tag="", config={"architecture": platform.split("/")[1], "author": platform}
            )
            for platform in ("linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7")
        }
        put_index(server, "x", made)
        name = f"{server.address}/x"
        for options, platform in ((("--platform", "linux/arm64"), "linux/arm64"), ((), "linux/amd64")):
            daemon.docker("pull", *options, name)
            [found] = json.loads(daemon.docker("image", "inspect", name).stdout)
            assert (found["Id"], found["Architecture"]) == (made[platform].id, platform.split("/")[1])
        for platform in ("linux/arm/v6", "linux/arm/v7"):
            daemon.docker("pull", "-q", "--platform", platform, name)
            assert daemon.docker("image", "inspect", "-f", "{{.Author}}", name).stdout.strip() == platform
        refused = daemon.docker("pull", "--platform", "linux/riscv64", name, check=False)
        assert refused.returncode == 1
        assert "no matching manifest for linux/riscv64 in the manifest list entries" in refused.stderr
        for image in daemon.docker("images", "-q", "--filter", "dangling=true").stdout.split():
            daemon.docker("rmi", image)
