"""TLS with authorities of one's own and certificates of clients, in Docker's places."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import InvalidParameter, Unavailable
from engine.registry.client import RegistryClient
from engine.registry.hosts import RegistryHosts
from engine.registry.patience import Patience
from engine.registry.reference import Reference
from tests.fixtures.authority import Authority
from tests.fixtures.image_maker import put_image
from tests.fixtures.registry_server import RegistryServer

QUICK = Patience(connect=2.0, read=2.0, attempts=2, first_pause=0.01)


def digest(registry: RegistryServer, directory: Path | None) -> str:
    """What the registry has, asked under an address that is not loopback by name."""
    reference = Reference.parse(f"{outside(registry)}/team/app")
    with RegistryClient(reference, hosts=RegistryHosts(certificates=directory), patience=QUICK) as client:
        return client.manifest("latest").digest


def outside(registry: RegistryServer) -> str:
    return registry.address.replace("127.0.0.1", "0.0.0.0")


def place(directory: Path, registry: RegistryServer) -> Path:
    found = directory / "certs.d" / outside(registry)
    found.mkdir(parents=True)
    return found


def test_an_authority_of_ones_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with RegistryServer(certificate=authority.sign("registry", address="0.0.0.0")) as registry:
        image = put_image(registry, "team/app", [])
        for nothing in (None, tmp_path / "certs.d"):
            with pytest.raises(Unavailable, match="certificate verify failed"):
                digest(registry, nothing)
        shutil.copy(authority.certificate, place(tmp_path, registry) / "ca.crt")
        assert digest(registry, tmp_path / "certs.d") == image.manifest


def test_an_authority_counts_for_its_registry_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with RegistryServer(certificate=authority.sign("registry", address="0.0.0.0")) as registry:
        put_image(registry, "team/app", [])
        elsewhere = tmp_path / "certs.d/registry.example.org"
        elsewhere.mkdir(parents=True)
        shutil.copy(authority.certificate, elsewhere / "ca.crt")
        with pytest.raises(Unavailable, match="certificate verify failed"):
            digest(registry, tmp_path / "certs.d")


def test_the_wrong_name_in_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with RegistryServer(certificate=authority.sign("registry", address="10.1.2.3")) as registry:
        put_image(registry, "team/app", [])
        shutil.copy(authority.certificate, place(tmp_path, registry) / "ca.crt")
        with pytest.raises(Unavailable, match="certificate verify failed"):
            digest(registry, tmp_path / "certs.d")


def test_a_client_shows_its_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.sign("ada")
    with RegistryServer(
        certificate=authority.sign("registry", address="0.0.0.0"), clients=authority.certificate
    ) as registry:
        image = put_image(registry, "team/app", [])
        here = place(tmp_path, registry)
        shutil.copy(authority.certificate, here / "ca.crt")
        with pytest.raises(Unavailable, match="cannot reach registry"):
            digest(registry, tmp_path / "certs.d")
        shutil.copy(certificate, here / "client.cert")
        with pytest.raises(InvalidParameter, match=r"missing key client\.key for client certificate"):
            digest(registry, tmp_path / "certs.d")
        shutil.copy(key, here / "client.key")
        assert digest(registry, tmp_path / "certs.d") == image.manifest


def test_a_clients_certificate_is_shown_to_an_insecure_registry_as_well(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.sign("ada")
    with RegistryServer(certificate=authority.sign("registry"), clients=authority.certificate) as registry:
        image = put_image(registry, "team/app", [])
        here = tmp_path / "certs.d" / registry.address
        here.mkdir(parents=True)
        shutil.copy(certificate, here / "client.cert")
        shutil.copy(key, here / "client.key")
        hosts = RegistryHosts(certificates=tmp_path / "certs.d")
        reference = Reference.parse(f"{registry.address}/team/app")
        with RegistryClient(reference, hosts=hosts, patience=QUICK) as client:
            assert client.manifest("latest").digest == image.manifest


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    with RegistryServer() as registry:
        (place(tmp_path, registry) / "ca.crt").write_text("no certificate")
        with pytest.raises(InvalidParameter, match="cannot be used"):
            digest(registry, tmp_path / "certs.d")
