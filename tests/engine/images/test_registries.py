"""Round trips through real registries: docker-registry plain, with passwords, with TLS; and one with tokens."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.errors import Unauthorized, Unavailable
from engine.registry.auth import RegistryAuth
from engine.registry.reference import Reference
from engine.types import Digest
from tests.fixtures.authority import Authority
from tests.fixtures.image_host import REPOSITORY, Host
from tests.fixtures.image_maker import LayerBlob, MadeImage, put_image
from tests.fixtures.registry import Registry
from tests.fixtures.registry_server import Account, RegistryServer
from tests.fixtures.tars import tar_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

LAYERS = [
    LayerBlob.gzip(tar_of({"base": b"base\n", "etc/noise": os.urandom(300_000)})),
    LayerBlob.zstd(tar_of({"middle": b"middle\n"})),
    LayerBlob.plain(tar_of({"top": b"top\n"})),
]
ADA = RegistryAuth(username="ada", password="secret")
ACCOUNT = ("ada", "secret")


@pytest.fixture
def made(tmp_path: Path) -> MadeImage:
    """An image that `first` has."""
    with RegistryServer() as registry:
        image = put_image(registry, REPOSITORY, LAYERS)
        host = Host.at(tmp_path / "first", certificates=tmp_path / "certs.d")
        host.pull(registry)
        host.images.tag(image.id, Reference.parse("here:1"))
        host.database.close()
    return image


@pytest.fixture(params=["plain", "passwords", "tls", "tokens"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, RegistryAuth | None]]:
    """A registry's address, and the credentials that it wants."""
    with ExitStack() as stack:
        if request.param == "tokens":
            server = stack.enter_context(RegistryServer(Account("ada", "secret")))
            yield server.address, ADA
            return
        account = ACCOUNT if request.param == "passwords" else None
        certificate = None
        if request.param == "tls":
            authority = Authority(tmp_path)
            certificate = authority.sign("registry", address="0.0.0.0")
        registry = Registry(tmp_path / "storage", account=account, certificate=certificate)
        address = registry.address
        if certificate:
            address = address.replace("127.0.0.1", "0.0.0.0")  # an address that is not insecure by itself
            trusted = tmp_path / "certs.d" / address
            trusted.mkdir(parents=True)
            shutil.copy(authority.certificate, trusted / "ca.crt")
        stack.enter_context(registry)
        yield address, ADA if account else None


def test_there_and_back(made: MadeImage, place: tuple[str, RegistryAuth | None], tmp_path: Path) -> None:
    address, auth = place
    first = Host.at(tmp_path / "first", certificates=tmp_path / "certs.d")
    second = Host.at(tmp_path / "second", certificates=tmp_path / "certs.d")
    reference = Reference.parse(f"{address}/deep/er/name:1")
    first.images.tag("here:1", reference)
    if auth is not None:
        with pytest.raises(Unauthorized):
            first.images.push(reference, progress=first.seen.append)
    [pushed] = first.images.push(reference, auth=auth, progress=first.seen.append)
    assert pushed.digest == made.manifest
    result = second.images.pull(reference, auth=auth, progress=second.seen.append)
    assert (result.image, result.manifest) == (made.id, made.manifest)
    assert second.content.digests() == first.content.digests()
    [again] = second.images.push(reference, auth=auth, progress=second.seen.append)
    assert again == pushed
    for host in (first, second):
        host.database.close()


def test_tls_of_a_stranger(made: MadeImage, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Registry(tmp_path / "storage", certificate=authority.sign("registry", address="0.0.0.0")) as registry:
        host = Host.at(tmp_path / "first")
        reference = Reference.parse(f"{registry.address.replace('127.0.0.1', '0.0.0.0')}/x:1")
        host.images.tag("here:1", reference)
        with pytest.raises(Unavailable, match="certificate verify failed"):
            host.images.push(reference, auth=ADA, progress=host.seen.append)
        host.database.close()


def test_skopeo_copies_what_was_pushed_to_a_registry_with_passwords(made: MadeImage, tmp_path: Path) -> None:
    with Registry(tmp_path / "storage", account=ACCOUNT) as registry:
        host = Host.at(tmp_path / "first")
        reference = Reference.parse(f"{registry.address}/x:1")
        host.images.tag("here:1", reference)
        host.images.push(reference, auth=ADA, progress=host.seen.append)
        host.database.close()
        command = ["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--preserve-digests"]
        command += ["--src-creds=ada:secret", f"docker://{reference}", f"dir:{tmp_path / 'copy'}"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert Digest.of((tmp_path / "copy/manifest.json").read_bytes()) == made.manifest
