"""Registries: who may edit them, where their passwords go, and that nobody ever sees one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client, override_settings

from tests.conftest import scratch_directory
from tests.fixtures.daemons import Daemon, HavreDaemon
from tests.fixtures.registry import Registry as RegistryServer
from webui import gateway
from webui.accounts.models import Grant, Role, User
from webui.environments.models import Environment
from webui.jobs.models import Job, JobKind, JobState
from webui.jobs.tasks import run_job
from webui.registries import secrets, services
from webui.registries.models import Registry
from webui.registries.selectors import registry_for

SECRET = "an otter's own key"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def chief(environment: Environment, administrator: User) -> User:
    """An administrator of this environment alone."""
    user = User.objects.create_user("cleo")
    Grant.objects.create(user=user, environment=environment, role=Role.ADMINISTRATOR)
    return user


def _registry(environment: Environment | None, host: str, *, password: str = SECRET) -> Registry:
    registry = Registry(environment=environment, host=host, username="olga")
    registry.set_password(password)
    registry.save()
    return registry


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_a_password_is_written_used_and_never_shown(
    chief: User, environment: Environment, signed_in: Callable[[User | None], Client], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = signed_in(chief)
    form = {"host": "https://Registry.Example:5000/", "username": "olga", "password": SECRET, "note": "ours"}
    assert client.post("/e/local/registries/new/", form).status_code == 302
    registry = Registry.objects.get()
    assert (registry.host, registry.environment) == ("registry.example:5000", environment)
    assert registry.password() == SECRET
    assert SECRET not in registry.sealed
    page = client.get("/e/local/registries/").content.decode()
    assert "kept, encrypted" in page
    edit = client.get(f"/e/local/registries/{registry.pk}/").content.decode()
    wrong = client.post(f"/e/local/registries/{registry.pk}/", {**form, "host": "no host"})
    assert wrong.status_code == 422
    for text in (page, edit, wrong.content.decode(), caplog.text, repr(services._auth(registry))):
        assert SECRET not in text


def test_an_edit_without_a_password_keeps_it(
    chief: User, environment: Environment, signed_in: Callable[[User | None], Client]
) -> None:
    registry = _registry(environment, "registry.example")
    address = f"/e/local/registries/{registry.pk}/"
    client = signed_in(chief)
    assert client.post(address, {"host": "registry.example", "username": "vera"}).status_code == 302
    registry.refresh_from_db()
    assert (registry.username, registry.password()) == ("vera", SECRET)
    assert client.post(address, {"host": "registry.example", "username": ""}).status_code == 302
    registry.refresh_from_db()
    assert not registry.has_password, "nobody signs in, so there is nothing to keep"


def test_a_password_never_follows_to_another_host(
    chief: User, environment: Environment, signed_in: Callable[[User | None], Client]
) -> None:
    registry = _registry(environment, "registry.example")
    address = f"/e/local/registries/{registry.pk}/"
    answer = signed_in(chief).post(address, {"host": "evil.example", "username": "olga"})
    assert answer.status_code == 422
    assert "was given for registry.example" in answer.content.decode()
    # Nor by any other way into the row.
    Registry.objects.filter(pk=registry.pk).update(host="evil.example")
    registry.refresh_from_db()
    assert not registry.readable
    with pytest.raises(gateway.InvalidRequest, match="type it again"):
        services.auth_for(environment=environment, reference="evil.example/app:1")


def test_keys_may_be_changed(environment: Environment) -> None:
    sealed = secrets.seal(SECRET, host="a.example")
    from django.conf import settings

    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert secrets.unseal(sealed, host="a.example") == SECRET
    with override_settings(SECRET_KEY="new"), pytest.raises(secrets.Unreadable):
        secrets.unseal(sealed, host="a.example")
    with pytest.raises(secrets.Unreadable):
        secrets.unseal(sealed, host="b.example")


@pytest.mark.parametrize(
    ("reference", "host"),
    [
        ("debian", "docker.io"),
        ("team/app:1", "docker.io"),
        ("index.docker.io/team/app", "docker.io"),
        ("registry-1.docker.io/team/app", "docker.io"),
        ("ghcr.io/team/app@sha256:00", "ghcr.io"),
        ("registry.example:5000/app", "registry.example:5000"),
        ("localhost/app", "localhost"),
    ],
)
def test_which_registry_a_name_leads_to(reference: str, host: str, environment: Environment) -> None:
    everywhere = _registry(None, host, password="for all")
    assert gateway.registry_host(reference) == host
    found = services.auth_for(environment=environment, reference=reference)
    assert found is not None
    assert found.password == "for all"
    own = _registry(environment, host)
    assert registry_for(environment=environment, host=host) == own != everywhere
    other = Environment.objects.create(name="other", slug="other", url="unix:///run/other.sock")
    assert registry_for(environment=other, host=host) == everywhere
    assert services.auth_for(environment=other, reference="elsewhere.example/app") is None


# --- who may ---------------------------------------------------------------------------------------------------------


def test_those_of_all_environments_are_for_administrators_of_all(
    chief: User, administrator: User, environment: Environment, signed_in: Callable[[User | None], Client]
) -> None:
    everywhere = _registry(None, "registry.example")
    client = signed_in(chief)
    assert "registry.example" in client.get("/e/local/registries/").content.decode()
    for door in ("", "remove/"):
        answer = client.post(f"/e/local/registries/{everywhere.pk}/{door}", {"host": "x.example", "password": "y"})
        assert answer.status_code == 403, door
    # To ask for "everywhere" is not to get it.
    client.post("/e/local/registries/new/", {"host": "own.example", "username": "", "everywhere": "on"})
    assert Registry.objects.get(host="own.example").environment == environment
    own = Registry.objects.get(host="own.example")
    own.environment = None
    with pytest.raises(PermissionDenied):
        services.registry_save(registry=own, user=chief, password=None)
    root = signed_in(administrator)
    root.post("/e/local/registries/new/", {"host": "all.example", "username": "", "everywhere": "on"})
    assert Registry.objects.get(host="all.example").environment is None


def test_an_operator_uses_and_does_not_edit(
    operator: User, environment: Environment, signed_in: Callable[[User | None], Client]
) -> None:
    registry = _registry(environment, "registry.example")
    client = signed_in(operator)
    page = client.get("/e/local/registries/").content.decode()
    assert "registry.example" in page
    assert "new/" not in page
    for door in ("new/", f"{registry.pk}/", f"{registry.pk}/remove/"):
        assert client.post(f"/e/local/registries/{door}", {"host": "x"}).status_code == 403, door
    with pytest.raises(PermissionDenied):
        services.registry_remove(registry=registry, user=operator)
    assert Registry.objects.filter(pk=registry.pk).exists()


def test_another_environments_registry_is_not_there(chief: User, signed_in: Callable[[User | None], Client]) -> None:
    other = Environment.objects.create(name="other", slug="other", url="unix:///run/other.sock")
    registry = _registry(other, "registry.example")
    client = signed_in(chief)
    assert client.get(f"/e/local/registries/{registry.pk}/").status_code == 404
    assert client.post(f"/e/local/registries/{registry.pk}/remove/").status_code == 404


def test_the_admin_shows_no_password_and_takes_none(
    administrator: User, environment: Environment, signed_in: Callable[[User | None], Client]
) -> None:
    registry = _registry(environment, "registry.example")
    client = signed_in(administrator)
    for place in ("", f"{registry.pk}/change/"):
        page = client.get(f"/admin/registries/registry/{place}").content.decode()
        assert "registry.example" in page
        assert registry.sealed not in page
        assert SECRET not in page
    change = {"username": "vera", "note": "", "sealed": "x", "host": "evil.example"}
    client.post(f"/admin/registries/registry/{registry.pk}/change/", change)
    registry.refresh_from_db()
    assert (registry.host, registry.username, registry.password()) == ("registry.example", "vera", SECRET)
    client.post("/admin/registries/registry/", {"action": "forget_password", "_selected_action": [registry.pk]})
    registry.refresh_from_db()
    assert not registry.has_password


@pytest.mark.parametrize("host", ["", "a b", "http://", "x/y", "-a", "a:b", "evil.example@good.example", "a?b"])
def test_what_is_no_host(chief: User, host: str) -> None:
    registry = Registry(environment=Environment.objects.get(pk=1), host=host, username="")
    with pytest.raises(ValidationError):
        services.registry_save(registry=registry, user=chief, password=None)


# --- with an engine and a registry that asks for a password ----------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(daemon: Daemon) -> Iterator[RegistryServer]:
    with scratch_directory() as directory:
        account = ("olga", SECRET)
        with RegistryServer(Path(directory), namespace=daemon.namespace, port=5001, account=account) as server:
            yield server


@pytest.mark.django_db(transaction=True)
def test_test_push_and_pull_sign_in(
    either: Environment,
    operator: User,
    administrator: User,
    daemon: Daemon,
    guarded: RegistryServer,
    signed_in: Callable[[User | None], Client],
) -> None:
    client = signed_in(operator)
    registry = _registry(either, guarded.address, password="wrong")
    test = f"/e/local/registries/{registry.pk}/test/"
    refused_login = client.post(test, headers=HTMX).content.decode()
    assert "message-error" in refused_login
    assert "wrong" not in refused_login
    registry.set_password(SECRET)
    registry.save()
    assert "Login Succeeded" in client.post(test, headers=HTMX).content.decode()

    nobody = Registry.objects.create(environment=None, host=daemon.mirrors[0].partition("//")[2])
    without = f"/e/local/registries/{nobody.pk}/test/"
    assert "it answers." in client.post(without, headers=HTMX).content.decode()
    Registry.objects.filter(pk=nobody.pk).update(host="127.0.0.1:1")
    assert "message-error" in client.post(without, headers=HTMX).content.decode()

    daemon.docker("pull", "-q", "busybox")
    name = f"{guarded.address}/team/box:1"
    tagged = client.post("/e/local/images/busybox:latest/tag/", {"reference": name}, headers=HTMX)
    assert "leads here now" in tagged.content.decode()
    started = client.post("/e/local/images/busybox:latest/push/", {"reference": name})
    push = Job.objects.get(kind=JobKind.PUSH)
    assert started["Location"] == f"/e/local/jobs/{push.pk}/"
    assert SECRET not in str(push.parameters)
    run_job(str(push.pk))
    push.refresh_from_db()
    assert push.state == JobState.SUCCEEDED, push.message
    assert all(layer["done"] for layer in push.progress["layers"])

    daemon.docker("rmi", name)
    client.post("/e/local/images/pull/", {"reference": name})
    pull = Job.objects.get(kind=JobKind.PULL)
    run_job(str(pull.pk))
    pull.refresh_from_db()
    assert pull.state == JobState.SUCCEEDED, pull.message
    Registry.objects.all().delete()
    again = services.auth_for(environment=either, reference=name)
    assert again is None
    daemon.docker("rmi", name)
    refused = Job.objects.create(
        kind=JobKind.PULL, environment=either, created_by=administrator, subject=name, parameters={"reference": name}
    )
    run_job(str(refused.pk))
    refused.refresh_from_db()
    assert refused.state == JobState.FAILED, "without the password nobody gets in"
    assert "no public address" not in refused.message


@pytest.mark.django_db(transaction=True)
def test_private_addresses_are_for_administrators_and_entered_registries(
    engine: Environment,
    operator: User,
    administrator: User,
    havre: HavreDaemon,
    signed_in: Callable[[User | None], Client],
) -> None:
    """The engine's own loopback is where its host's inner services listen."""
    host = havre.mirrors[0].partition("//")[2]
    name = f"{host}/library/busybox:latest"

    def ended(door: str, person: User) -> Job:
        signed_in(person).post(f"/e/local/images/{door}/", {"reference": name})
        job = Job.objects.latest("created_at")
        run_job(str(job.pk))
        job.refresh_from_db()
        return job

    havre.docker("pull", "-q", "busybox")
    push = "busybox:latest/push"
    havre.docker("tag", "busybox", name)
    for door in ("pull", push):
        refused = ended(door, operator)
        assert refused.state == JobState.FAILED, door
        assert "127.0.0.1 is no public address" in refused.message
        assert ended(door, administrator).state == JobState.SUCCEEDED, door
    again = signed_in(operator).post(f"/e/local/jobs/{refused.pk}/retry/")
    retried = Job.objects.latest("created_at")
    assert again["Location"].endswith(f"{retried.pk}/")
    run_job(str(retried.pk))
    retried.refresh_from_db()
    assert "is no public address" in retried.message
    Registry.objects.create(environment=None, host=host)
    for door in ("pull", push):
        assert ended(door, operator).state == JobState.SUCCEEDED, door
    other = Environment.objects.create(name="other", slug="other", url=engine.url)
    Registry.objects.update(environment=other)
    assert "is no public address" in ended("pull", operator).message, "entered in another environment"
    havre.docker("rmi", "busybox", name)
