"""Sockets: whose they are, when they end, and what they hear."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import math
import time
from collections.abc import Awaitable, Callable, Mapping

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from tests.fixtures.daemons import Daemon, HavreDaemon
from webui.accounts.models import Grant, Role, Team, User
from webui.asgi import application
from webui.environments.models import Environment
from webui.jobs.models import Job, JobKind, JobState
from webui.live import consumers, origin
from webui.live.relay import AWAY, KEPT, OLDEST, RESET, WAITING, Relay, _Stream, _tell

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 3.0
"""Seconds within which a socket must have noticed: far less than `consumers.RECHECK`."""

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


class Socket:
    """A page's socket for events, and the browser whose cookies it carries."""

    def __init__(self, browser: Client, query: str = "") -> None:
        self.browser = browser
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())
        headers = [(b"host", b"testserver"), (b"origin", b"http://testserver"), (b"cookie", cookies.encode())]
        self.communicator = WebsocketCommunicator(application, f"/ws/e/local/events/{query}", headers=headers)

    @classmethod
    async def of(cls, user: User, query: str = "") -> Socket:
        browser = Client()
        await browser.aforce_login(user, backend=BACKEND)
        socket = cls(browser, query)
        accepted, _ = await socket.communicator.connect(timeout=5)
        assert accepted
        return socket

    async def closed(self, *, within: float = AT_ONCE) -> int:
        """The code with which the socket is closed."""
        async with asyncio.timeout(within):
            while (message := await self.communicator.receive_output(timeout=within))["type"] != "websocket.close":
                pass
        await self.communicator.disconnect()
        return int(message["code"])

    async def stays_open(self) -> bool:
        try:
            await self.closed(within=0.3)
        except TimeoutError:
            return True
        return False


# --- origins ---------------------------------------------------------------------------------------------------------


def _scope(origin: str | None, host: str, scheme: str = "ws") -> Mapping[str, object]:
    headers = [(b"host", host.encode("latin-1"))]
    if origin is not None:
        headers.append((b"origin", origin.encode("latin-1")))
    return {"headers": headers, "scheme": scheme}


@pytest.mark.parametrize(
    ("from_page", "host", "scheme"),
    [
        ("http://localhost:8000", "localhost:8000", "ws"),
        ("http://localhost", "localhost:80", "ws"),
        ("https://localhost", "localhost", "wss"),
        ("https://localhost:8443", "localhost:8443", "wss"),
        ("http://LOCALHOST:8000", "localhost:8000", "ws"),
    ],
)
def test_pages_of_this_site_may_open_sockets(from_page: str, host: str, scheme: str) -> None:
    assert origin.allowed(_scope(from_page, host, scheme))


@pytest.mark.parametrize(
    ("from_page", "host", "scheme"),
    [
        (None, "localhost", "ws"),
        ("http://localhost:8000", "localhost:8001", "ws"),
        ("http://localhost", "localhost", "wss"),
        ("https://localhost", "localhost", "ws"),
        ("http://localhost:8000@evil.example", "localhost:8000", "ws"),
        ("http://localhost.evil.example:8000", "localhost:8000", "ws"),
        ("http://[", "localhost", "ws"),
        ("http://localhost:99999", "localhost", "ws"),
        ("http://localhost:x", "localhost", "ws"),
        ("http://localhost", "[", "ws"),
        ("http://\xe9", "localhost", "ws"),
        ("http://", "", "ws"),
        # A name that somebody else made to lead here: its page and its requests agree with each other.
        ("http://rebound.example:8000", "rebound.example:8000", "ws"),
    ],
)
def test_others_may_not(from_page: str | None, host: str, scheme: str) -> None:
    assert not origin.allowed(_scope(from_page, host, scheme))


def test_an_origin_that_the_site_trusts(settings: object) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://havre.example"]  # type: ignore[attr-defined]
    settings.ALLOWED_HOSTS = ["havre.example"]  # type: ignore[attr-defined]
    # Behind a proxy that speaks TLS, the socket itself is plain.
    assert origin.allowed(_scope("https://havre.example", "havre.example", "ws"))


# --- ends ------------------------------------------------------------------------------------------------------------


async def test_signing_out_closes_the_sockets_of_that_session_at_once(operator: User) -> None:
    here, elsewhere = await Socket.of(operator), await Socket.of(operator)
    await sync_to_async(here.browser.post)("/accounts/logout/")
    assert await here.closed() == consumers.SIGNED_OUT
    assert await elsewhere.stays_open()


async def test_one_person_has_so_many_sockets_and_no_more(
    operator: User, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "MOST", 2)
    first, second = await Socket.of(operator), await Socket.of(operator)
    assert await (await Socket.of(operator)).closed() == consumers.TRY_AGAIN
    theirs = await Socket.of(viewer)
    await first.communicator.disconnect()
    again = await Socket.of(operator)
    assert await again.stays_open()
    for socket in (second, theirs, again):
        await socket.communicator.disconnect()
    assert not any(consumers.PolicyConsumer._open[person.pk] for person in (operator, viewer))


@pytest.mark.parametrize("path", ["/accounts/logout/", "/admin/logout/"])
async def test_one_may_sign_out_while_redis_is_away(path: str, administrator: User, settings: object) -> None:
    layer = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": ["unix:///nowhere/redis.sock"]}}
    settings.CHANNEL_LAYERS = {"default": layer}  # type: ignore[attr-defined]
    browser = Client()
    await browser.aforce_login(administrator, backend=BACKEND)
    key = browser.session.session_key
    assert (await sync_to_async(browser.post)(path)).status_code in (200, 302)
    assert not await Session.objects.filter(pk=key).aexists()


async def _deactivate(user: User) -> None:
    user.is_active = False
    await user.asave()


async def _new_password(user: User) -> None:
    user.set_password("another harbour at dusk")
    await user.asave()


@pytest.mark.parametrize("change", [_deactivate, _new_password])
async def test_a_change_of_the_account_closes_its_sockets_at_once(
    change: Callable[[User], Awaitable[None]], operator: User
) -> None:
    socket = await Socket.of(operator)
    await change(operator)
    assert await socket.closed() == consumers.SIGNED_OUT


@sync_to_async
def _session_ends(user: User) -> None:
    Session.objects.update(expire_date=timezone.now() - dt.timedelta(seconds=1))


@sync_to_async
def _password_is_written_elsewhere(user: User) -> None:
    # `update` sends no signal, as a change by another program does not.
    User.objects.filter(pk=user.pk).update(password=make_password("another harbour at dusk"))


@pytest.mark.parametrize("change", [_session_ends, _password_is_written_elsewhere])
async def test_what_nobody_told_is_found_at_the_next_look(
    change: Callable[[User], Awaitable[None]], operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK", 0.2)
    socket = await Socket.of(operator)
    await change(operator)
    assert await socket.closed() == consumers.SIGNED_OUT


def _removed_from_the_team(team: Team, user: User) -> None:
    team.members.remove(user)


def _team_taken_from_the_person(team: Team, user: User) -> None:
    user.teams.remove(team)


def _team_emptied(team: Team, user: User) -> None:
    team.members.clear()


def _person_of_no_team(team: Team, user: User) -> None:
    user.teams.clear()


def _team_dissolved(team: Team, user: User) -> None:
    team.delete()


def _grant_of_the_team_removed(team: Team, user: User) -> None:
    Grant.objects.filter(team=team).delete()


@pytest.mark.parametrize(
    "change",
    [
        _removed_from_the_team,
        _team_taken_from_the_person,
        _team_emptied,
        _person_of_no_team,
        _team_dissolved,
        _grant_of_the_team_removed,
    ],
)
async def test_a_right_from_a_team_ends_at_once(
    change: Callable[[Team, User], None], stranger: User, environment: Environment
) -> None:
    # Numbers of people and teams must differ, or one taken for the other goes unseen.
    await Team.objects.acreate(pk=4000, name="crew")
    team = await Team.objects.aget(pk=4000)
    await team.members.aadd(stranger)
    await Grant.objects.acreate(team=team, environment=environment, role=Role.VIEWER)
    socket = await Socket.of(stranger)
    await sync_to_async(change)(team, stranger)
    assert await socket.closed() == consumers.GONE


# --- what is heard ---------------------------------------------------------------------------------------------------


async def _heard(queue: asyncio.Queue[dict[str, str]], wanted: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    async with asyncio.timeout(20):
        while not wanted(message := await queue.get()):
            pass
    return message


async def test_events_are_heard_and_a_restarted_engine_is_found_again(engine: Environment, havre: HavreDaemon) -> None:
    relay = Relay()
    havre.docker("pull", "busybox")
    with relay.subscribed(engine, since=time.time()) as queue:
        made = havre.docker("create", "busybox", "true").stdout.strip()
        assert await _heard(queue, lambda _: True) == {"type": "container", "id": made, "action": "create"}
        await sync_to_async(havre.restart)()
        await _heard(queue, lambda message: message == AWAY)
        await _heard(queue, lambda message: message == RESET)
        havre.docker("rm", made)
        await _heard(queue, lambda message: message.get("id") == made and message["action"] == "destroy")
    await asyncio.sleep(0)
    assert not relay._streams, "nobody listens: nothing is asked"


async def test_what_happened_before_the_socket_opened_is_told_first(either: Environment, daemon: Daemon) -> None:
    def create() -> tuple[float, dict[str, str]]:
        moment = time.time()
        container = daemon.docker("create", "busybox", "true").stdout.strip()
        return moment, {"type": "container", "id": container, "action": "create"}

    relay = Relay()
    daemon.docker("pull", "busybox")
    before, one = create()
    with relay.subscribed(either, since=before) as first:
        assert await _heard(first, lambda _: True) == one, "the engine is asked for it"
        between, two = create()
        assert await _heard(first, lambda _: True) == two
        with relay.subscribed(either, since=between) as second:
            assert second.get_nowait() == two, "it was kept"
            assert second.empty()
        for late in (time.time(), math.inf):
            with relay.subscribed(either, since=late) as third:
                assert third.empty()
        for early in (before - 1, time.time() - OLDEST - 1):
            with relay.subscribed(either, since=early) as fourth:
                assert fourth.get_nowait() == RESET
                assert fourth.empty()
    daemon.docker("rm", one["id"], two["id"])


def test_what_is_kept_has_an_end() -> None:
    stream = _Stream(whole_since=0.0)
    begun = time.time()
    for number in range(KEPT + 1):
        stream.keep({"type": "container", "id": str(number), "action": "start"})
    assert stream.since(begun - 1e-3) == [RESET]
    assert [message["id"] for message in stream.since(stream.kept[1][0])][-1] == str(KEPT)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?since={before}", True),
        ("?since={after}", False),
        *((query, False) for query in ("", "?since=", "?since=x", "?since=nan", "?since=1e300", "?since=-1e300")),
    ],
)
async def test_a_job_that_ended_before_the_socket_opened(
    environment: Environment, operator: User, query: str, told: bool
) -> None:
    ended = timezone.now() - dt.timedelta(seconds=2)
    values = {"kind": JobKind.PULL, "state": JobState.SUCCEEDED, "created_at": ended, "finished_at": ended}
    job = await Job.objects.acreate(environment=environment, subject="busybox", created_by=operator, **values)
    socket = await Socket.of(operator, query.format(before=ended.timestamp() - 1, after=ended.timestamp() + 1))
    heard = []
    with contextlib.suppress(TimeoutError):
        while True:
            heard.append(await socket.communicator.receive_json_from(timeout=0.3))
    assert ({"type": "job", "id": str(job.pk), "action": "succeeded"} in heard) == told
    assert ({"type": "reset"} in heard) == (query == "?since=-1e300")


async def test_an_engine_that_nobody_reaches_is_away(environment: Environment) -> None:
    environment.url = "unix:///nowhere/engine.sock"
    with Relay().subscribed(environment) as queue:
        assert await _heard(queue, lambda _: True) == AWAY


async def test_an_engine_that_talks_nonsense_is_asked_again(environment: Environment, tmp_path: object) -> None:
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\nnonsense\n")
        await writer.drain()
        writer.close()

    path = f"{tmp_path}/engine.sock"
    server = await asyncio.start_unix_server(answer, path)
    environment.url = f"unix://{path}"
    async with server:
        with Relay().subscribed(environment) as queue:
            await _heard(queue, lambda message: message == AWAY)
            once = asked
            await _heard(queue, lambda message: message == AWAY)
            assert asked > once


async def test_a_listener_far_behind_fetches_everything_once() -> None:

    stream = _Stream()
    queue: asyncio.Queue[dict[str, str]] = asyncio.Queue(maxsize=WAITING)
    stream.listeners.add(queue)
    for number in range(WAITING + 1):
        _tell(stream, {"type": "container", "id": str(number), "action": "start"})
    assert queue.get_nowait() == RESET
    assert queue.empty()


def test_cookies_name_the_port() -> None:
    assert settings.SESSION_COOKIE_NAME.endswith("_8000")
