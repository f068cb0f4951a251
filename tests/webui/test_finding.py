"""The palette: what it finds, in which order, and for whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.fixtures.daemons import HavreDaemon
from webui.accounts import policy
from webui.accounts.models import User
from webui.dashboard.finding import MOST, Found, find
from webui.environments.models import Environment


@pytest.fixture
def look(engine: Environment, operator: User, havre: HavreDaemon) -> Callable[..., list[Found]]:
    havre.remove_everything()
    for name in ("web-2", "old-web", "web"):
        havre.docker("create", "--name", name, "busybox", "true")
    havre.docker("volume", "create", "web-data")

    def act(query: str, user: User = operator) -> list[Found]:
        return find(environment=engine, query=query, granted=policy.granted(user, engine))

    return act


def test_the_name_itself_comes_first_then_what_begins_with_it(look: Callable[..., list[Found]]) -> None:
    names = [line.name for line in look("WEB")]
    assert names[:2] == ["web", "web-2"] or names[:3] == ["web", "web-2", "web-data"]
    assert {"web-data", "old-web"} <= set(names)


def test_pages_of_a_container_and_what_can_be_done(look: Callable[..., list[Found]], viewer: User) -> None:
    logs = look("old-web logs")
    assert [(line.name, line.note) for line in logs] == [("old-web logs", "Logs")]
    assert logs[0].address.endswith("/logs/")
    assert [line.name for line in look("new vol")] == ["New volume"]
    assert look("new vol", viewer) == []
    assert look("web terminal", viewer) == []
    assert len(look("", viewer)) < len(look("")) <= MOST


def test_what_is_not_there_is_said_and_is_text(
    engine: Environment, operator: User, signed_in: Callable[[User | None], Client]
) -> None:
    answer = signed_in(operator).get("/e/local/find/", {"q": "<b>x</b>"}).content.decode()
    assert "&lt;b&gt;x&lt;/b&gt;" in answer


def test_an_engine_that_is_away_leaves_the_pages(
    environment: Environment, operator: User, signed_in: Callable[[User | None], Client]
) -> None:
    answer = signed_in(operator).get("/e/local/find/", {"q": "contain"})
    assert answer.status_code == 200
    assert "/e/local/containers/" in answer.content.decode()
