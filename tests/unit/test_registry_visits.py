"""What is asked of a registry itself: logins and searches."""

from __future__ import annotations

import pytest

from engine.errors import EngineError, InvalidParameter, NotFound, Unauthorized, Unavailable
from engine.registry.auth import RegistryAuth
from engine.registry.hosts import RegistryHosts
from engine.registry.patience import Patience
from engine.registry.visits import SearchResult, log_in, registry_domain, search
from tests.fixtures.image_maker import put_image
from tests.fixtures.registry_server import Account, RegistryServer, Status

HOSTS = RegistryHosts()
QUICK = Patience(connect=2.0, read=2.0, attempts=2, first_pause=0.01)


def login(registry: RegistryServer, password: str = "secret", *, scheme: str = "") -> str:
    auth = RegistryAuth(username="ada", password=password, server_address=scheme + registry.address)
    return log_in(auth, hosts=HOSTS, patience=QUICK)


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("https://Registry.Example.org/v2/", "registry.example.org"),
        ("http://lab:5000", "lab:5000"),
    ],
)
def test_addresses(address: str, domain: str) -> None:
    assert registry_domain(address) == domain


@pytest.mark.parametrize("address", ["https://", "a b", "user@host", "host:port", "-", "x/../y z"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises((InvalidParameter, ValueError)):
        registry_domain(address)


@pytest.mark.parametrize("scheme", ["", "http://"])
@pytest.mark.parametrize("token", [True, False])
def test_login(token: bool, scheme: str) -> None:
    with RegistryServer(Account("ada", "secret", token=token)) as registry:
        assert login(registry, scheme=scheme) == ("secret" if token else ""), "the token that the server gives to keep"
        with pytest.raises(Unauthorized):
            login(registry, "wrong")


def test_login_where_nobody_asks_or_answers() -> None:
    with RegistryServer() as registry:
        assert login(registry) == ""
        registry.fault("/v2/", Status(404))
        with pytest.raises(EngineError):
            login(registry)
    with pytest.raises(Unavailable):
        login(registry)


def test_the_old_search() -> None:
    with RegistryServer() as registry:
        registry.searchable = [
            {"name": "nginx", "description": "a\x1b[2Jb", "star_count": 7, "is_official": True},
            {"name": "my/nginx", "star_count": "many"},
            {"name": "redis"},
        ]
        found = search(f"{registry.address}/nginx", limit=5, hosts=HOSTS, patience=QUICK)
        assert found == [
            SearchResult(name="nginx", description="a[2Jb", stars=7, official=True),
            SearchResult(name="my/nginx"),
        ]
        assert len(search(f"{registry.address}/nginx", limit=1, hosts=HOSTS, patience=QUICK)) == 1


def test_a_registry_without_a_search_is_asked_for_its_repositories() -> None:
    with RegistryServer(Account("ada", "secret", token=False)) as registry:
        for name in ("team/web", "team/webhook", "other"):
            put_image(registry, name, [])
        auth = RegistryAuth(username="ada", password="secret")
        found = search(f"{registry.address}/web", limit=10, auth=auth, hosts=HOSTS, patience=QUICK)
        assert [each.name for each in found] == ["team/web", "team/webhook"]
        with pytest.raises(Unauthorized):
            search(f"{registry.address}/web", limit=10, hosts=HOSTS, patience=QUICK)


def test_a_registry_that_tells_nothing() -> None:
    with RegistryServer() as registry:
        registry.fault("/v2/_catalog", Status(404))
        with pytest.raises(NotFound, match="offers neither a search nor a list"):
            search(f"{registry.address}/web", limit=10, hosts=HOSTS, patience=QUICK)
