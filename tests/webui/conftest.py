"""People of every role, and an environment whose engine may or may not be there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.fixtures.daemons import Daemon, HavreDaemon, PeerDaemon
from webui.accounts.models import Grant, Role, User
from webui.environments.models import Environment, Kind

PASSWORD = "a harbour at dawn"


@pytest.fixture(autouse=True)
def _database(db: None) -> None:
    """Every test here has the database."""


@pytest.fixture
def environment() -> Environment:
    """The local environment; nobody listens on its socket."""
    return Environment.objects.get(pk=1)


@pytest.fixture
def engine(environment: Environment, havre: HavreDaemon) -> Environment:
    """The local environment with a real engine."""
    return _led_to(environment, havre)


@pytest.fixture
def stock(environment: Environment, dockerd: PeerDaemon) -> Environment:
    """The local environment with a stock dockerd: the pages drive any engine that speaks Docker's API."""
    return _led_to(environment, dockerd)


@pytest.fixture
def either(environment: Environment, daemon: Daemon) -> Environment:
    """The local environment with Havre's engine and with a stock dockerd in turn; `daemon` looks behind it."""
    return _led_to(environment, daemon)


@pytest.fixture
def administrator() -> User:
    return User.objects.create_superuser("root-ada", password=PASSWORD)


@pytest.fixture
def operator(administrator: User, environment: Environment) -> User:
    return _person("olga", environment, Role.OPERATOR)


@pytest.fixture
def viewer(administrator: User, environment: Environment) -> User:
    return _person("vera", environment, Role.VIEWER)


@pytest.fixture
def stranger(administrator: User) -> User:
    """Signed in, without a role anywhere."""
    return User.objects.create_user("sten", password=PASSWORD)


@pytest.fixture
def signed_in() -> Callable[[User | None], Client]:
    """A browser in which a person is signed in, or nobody."""

    def sign_in(user: User | None) -> Client:
        client = Client(raise_request_exception=False)
        if user is not None:
            client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    return sign_in


def _led_to(environment: Environment, daemon: Daemon) -> Environment:
    environment.url = f"unix://{daemon.socket}"
    environment.kind = Kind.HAVRE if daemon.kind == "havre" else Kind.DOCKER
    environment.save()
    return environment


def _person(name: str, environment: Environment, role: Role) -> User:
    user = User.objects.create_user(name, password=PASSWORD)
    Grant.objects.create(user=user, environment=environment, role=role)
    return user
