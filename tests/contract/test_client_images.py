"""`engine.client` and images as files and in registries, against Havre and against dockerd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.client import Auth, Client, ClientError, NotFound
from tests.fixtures.daemons import Daemon
from tests.fixtures.registry import Registry
from tests.fixtures.tars import tar_of

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with Client(f"unix://{daemon.socket}") as client:
        yield client


def test_images_go_out_and_come_back(client: Client, daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar"
    with client.save([busybox]) as chunks, archive.open("wb") as file:
        file.writelines(chunks)
    with archive.open("rb") as file, client.load(file) as lines:
        assert [line.status for line in lines if line.status.startswith("Loaded")] == ["Loaded image: busybox:latest"]
    with pytest.raises(NotFound):
        client.save(["nosuch"])
    with pytest.raises(ClientError), client.load([b"no archive"]) as lines:
        list(lines)
    files = tar_of({"etc/motd": b"hello\n"})
    image = client.import_image(iter([files]), reference="client/import:1", message="mine", changes=["CMD x"])
    assert client.image("client/import:1").id == image
    usage = client.images_usage()
    [own] = [each for each in usage.images if each.id == image]
    assert (own.tags, own.size, own.shared, own.unique) == (("client/import:1",), 6, 0, 6)
    assert usage.layers >= 6
    client.remove_image("client/import:1")
    assert client.prune_images().reclaimed == 0


def test_push_and_what_registries_tell(client: Client, daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    with Registry(tmp_path, namespace=daemon.namespace, port=5003) as registry:
        name = f"{registry.address}/client/push:1"
        client.tag(busybox, name)
        with client.push(name) as push:
            events = list(push)
        assert [event.status for event in events if event.status == "Pushed"]
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", events[-1].digest)
        assert client.distribution(name).digest == events[-1].digest
        assert client.check_auth(Auth(username="a", password="b", server_address=registry.address)).status
        with (
            pytest.raises(ClientError, match="does not exist locally"),
            client.push(f"{registry.address}/no:1") as push,
        ):
            list(push)
        client.remove_image(name)
