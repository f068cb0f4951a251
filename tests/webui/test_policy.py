"""Every door asks the policy: a walk over all pages and sockets there are, in every role and as a stranger."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from webui.accounts import policy
from webui.accounts.models import Grant, Role, Team, User
from webui.accounts.policy import Action
from webui.asgi import application
from webui.environments.models import Environment
from webui.images.models import Upload
from webui.jobs.models import Job, JobKind
from webui.live import consumers
from webui.live.routing import websocket_urlpatterns
from webui.registries.models import Registry

# Applications that guard their own doors: allauth's are for people who are not signed in, the admin asks is_staff.
GUARDED_ELSEWHERE = ("accounts/", "admin/")
BUILD = {
    **dict.fromkeys(("path", "upload", "remote", "target", "platform", "network"), ""),
    "dockerfile": "FROM debian",
    "tags": [],
    "arguments": {},
    "labels": {},
    "no_cache": False,
    "pull": False,
}


def _patterns(found: list[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in found:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns, path)
        else:
            yield path, pattern


PAGES = [
    (path, pattern)
    for path, pattern in _patterns(get_resolver().url_patterns)
    if not path.startswith(GUARDED_ELSEWHERE)
]
OF_ENVIRONMENTS = [(path, pattern) for path, pattern in PAGES if isinstance(pattern.callback.policy, Action)]


def _address(path: str, *, job: Job, user: User | None = None) -> str:
    registry = Registry.objects.get_or_create(host="registry.example", environment=job.environment)[0]
    build = Job.objects.get_or_create(kind=JobKind.BUILD, environment=job.environment, parameters=BUILD)[0]
    upload = Upload.objects.get_or_create(environment=job.environment, name="x.tar", size=1, created_by=user)[0]
    parts = {
        "<slug:env>": "local",
        "<str:container_id>": "0" * 64,
        "<str:network_id>": "0" * 64,
        "<path:name>": "data",
        "<int:registry_id>": str(registry.pk),
        "<str:image_id>": "0" * 12,
        "<uuid:upload_id>": str(upload.pk),
        "<uuid:job_id>": str(job.pk),
        "<uuid:build_id>": str(build.pk),
        "<str:token>": "x",
    }
    for placeholder, value in parts.items():
        path = path.replace(placeholder, value)
    return f"/{path}"


@pytest.fixture
def job(environment: Environment) -> Job:
    return Job.objects.create(kind=JobKind.PULL, environment=environment, subject="debian", pk=uuid.uuid4())


def _ask(client: Client, address: str) -> int:
    """The status of a page by the method that it takes; 401 for being sent to sign in."""
    answer = client.get(address)
    if answer.status_code == 405:
        answer = client.post(address)
    sent = answer.status_code == 302 and answer["Location"].startswith("/accounts/login/")
    return 401 if sent else answer.status_code


def test_every_page_declares_its_policy() -> None:
    for path, pattern in PAGES:
        assert getattr(pattern.callback, "policy", None), f"{path} has no policy"


def test_there_are_pages_to_walk() -> None:
    assert len(OF_ENVIRONMENTS) >= 15


@pytest.mark.parametrize(("path", "pattern"), OF_ENVIRONMENTS, ids=[path for path, _ in OF_ENVIRONMENTS])
def test_a_page_admits_who_may_and_nobody_else(
    path: str,
    pattern: URLPattern,
    job: Job,
    signed_in: Callable[[User | None], Client],
    administrator: User,
    operator: User,
    viewer: User,
    stranger: User,
    environment: Environment,
) -> None:
    address = _address(path, job=job)
    action = pattern.callback.policy
    assert _ask(signed_in(None), address) == 401, "nobody is sent to sign in"
    assert _ask(signed_in(stranger), address) == 404, "a stranger does not learn that the environment exists"
    for user in (viewer, operator, administrator):
        status = _ask(signed_in(user), _address(path, job=job, user=user))
        if policy.allows(user, action, environment=environment):
            assert status not in (401, 403, 404), (user, status)
        else:
            assert status == 403, (user, status)


def test_a_viewer_changes_nothing(environment: Environment, viewer: User) -> None:
    seeing = {
        Action.ENVIRONMENT_VIEW,
        Action.CONTAINER_VIEW,
        Action.CONTAINER_LOGS,
        Action.CONTAINER_USAGE,
        Action.IMAGE_VIEW,
        Action.BUILD_VIEW,
        Action.NETWORK_VIEW,
        Action.VOLUME_VIEW,
        Action.JOB_VIEW,
    }
    assert policy.granted(viewer, environment) == seeing


def test_acts_on_containers_ask_for_the_very_action(
    environment: Environment, viewer: User, signed_in: Callable[[User | None], Client]
) -> None:
    client = signed_in(viewer)
    for verb in ("start", "stop", "restart", "kill", "pause", "unpause", "remove"):
        answer = client.post("/e/local/containers/act/", {"verb": verb, "containers": ["0" * 64]})
        assert answer.status_code == 403, verb


def test_roles_come_from_teams_and_from_everywhere(stranger: User, environment: Environment) -> None:
    other = Environment.objects.create(name="other", slug="other", url="unix:///run/other.sock")
    team = Team.objects.create(name="crew")
    team.members.add(stranger)
    Grant.objects.create(team=team, environment=other, role=Role.VIEWER)
    assert policy.role_in(stranger, other) == Role.VIEWER
    assert policy.role_in(stranger, environment) is None
    Grant.objects.create(user=stranger, role=Role.OPERATOR)
    assert policy.role_in(stranger, environment) == policy.role_in(stranger, other) == Role.OPERATOR


def test_the_inactive_and_the_anonymous_have_no_role(operator: User, environment: Environment) -> None:
    operator.is_active = False
    assert policy.role_in(operator, environment) is None
    assert policy.role_in(AnonymousUser(), environment) is None
    assert policy.role_in(None, environment) is None


def test_a_fragment_sends_the_whole_page_to_sign_in(
    signed_in: Callable[[User | None], Client], administrator: User
) -> None:
    answer = signed_in(None).get("/e/local/containers/", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer["HX-Redirect"].startswith("/accounts/login/")


def test_the_admin_is_for_staff(
    signed_in: Callable[[User | None], Client], administrator: User, operator: User
) -> None:
    assert signed_in(administrator).get("/admin/").status_code == 200
    assert signed_in(operator).get("/admin/").status_code == 302


# --- sockets ---------------------------------------------------------------------------------------------------------

SOCKETS = [str(pattern.pattern) for pattern in websocket_urlpatterns]


async def _open(path: str, user: User | None, *, origin: str = "http://testserver") -> tuple[bool, int | None]:
    """Whether the handshake passes, and the code by which the socket is closed at once, if it is."""
    headers = [(b"host", b"testserver"), (b"origin", origin.encode())]
    if user is not None:
        client = Client()
        await client.aforce_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
        headers.append((b"cookie", cookies.encode()))
    address = path.replace("<slug:env>", "local").replace("<str:container_id>", "0" * 64)
    communicator = WebsocketCommunicator(application, f"/{address}", headers=headers)
    accepted, _ = await communicator.connect(timeout=5)
    if not accepted:
        return False, None
    try:
        message = await communicator.receive_output(timeout=0.3)
    except TimeoutError:
        return True, None  # it waits for something to tell; the communicator has ended it
    code = message.get("code") if message["type"] == "websocket.close" else None
    await communicator.disconnect()
    return True, code


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", SOCKETS)
async def test_a_socket_admits_who_may_and_nobody_else(
    path: str, administrator: User, operator: User, viewer: User, stranger: User
) -> None:
    assert await _open(path, None) == (True, 4401)
    assert await _open(path, stranger) == (True, 4404)
    for user in (administrator, operator):
        assert (await _open(path, user))[1] not in (4401, 4403, 4404)
    assert (await _open(path, viewer))[1] == (4403 if "terminal" in path else None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "https://testserver", "http://testserver:81", "http://testserver.evil", "null", ""],
)
async def test_a_socket_of_another_site_is_refused(origin: str, administrator: User) -> None:
    accepted, _ = await _open(SOCKETS[0], administrator, origin=origin)
    assert not accepted


@pytest.mark.django_db(transaction=True)
async def test_a_socket_closes_when_its_right_ends(operator: User) -> None:
    client = Client()
    await client.aforce_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    communicator = WebsocketCommunicator(
        application,
        "/ws/e/local/events/",
        headers=[(b"host", b"testserver"), (b"origin", b"http://testserver"), (b"cookie", cookies.encode())],
    )
    assert (await communicator.connect())[0]
    await Grant.objects.filter(user=operator).adelete()
    while (message := await communicator.receive_output(timeout=5))["type"] != "websocket.close":
        pass
    assert message["code"] == 4404


@pytest.mark.django_db(transaction=True)
async def test_a_socket_closes_when_its_person_signs_out(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "RECHECK", 0.2)
    client = Client()
    await client.aforce_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    communicator = WebsocketCommunicator(
        application,
        "/ws/e/local/events/",
        headers=[(b"host", b"testserver"), (b"origin", b"http://testserver"), (b"cookie", cookies.encode())],
    )
    assert (await communicator.connect())[0]
    await client.alogout()
    while (message := await communicator.receive_output(timeout=20))["type"] != "websocket.close":
        pass
    assert message["code"] == 4401
