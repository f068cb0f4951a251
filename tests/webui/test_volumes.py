"""The volume pages, with a real engine behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from tests.fixtures.daemons import HavreDaemon
from webui.accounts.models import User
from webui.environments.models import Environment


@pytest.fixture
def browser(operator: User, engine: Environment, signed_in: Callable[[User | None], Client]) -> Client:
    return signed_in(operator)


@pytest.fixture(autouse=True)
def _no_volumes(havre: HavreDaemon) -> Iterator[None]:
    yield
    havre.remove_everything()
    if names := havre.docker("volume", "ls", "-q").stdout.split():
        havre.docker("volume", "rm", *names)


def test_a_volume_is_made_and_removed(browser: Client, havre: HavreDaemon) -> None:
    assert "No volumes yet" in browser.get("/e/local/volumes/").content.decode()
    assert browser.post("/e/local/volumes/new/", {"name": "my-data"}).status_code == 302
    assert havre.docker("volume", "ls", "-q").stdout == "my-data\n"
    page = browser.get("/e/local/volumes/").content.decode()
    assert "my-data" in page
    assert "nothing" in page
    browser.post("/e/local/volumes/remove/", {"volumes": ["my-data"]})
    assert havre.docker("volume", "ls", "-q").stdout == ""


@pytest.mark.parametrize("name", ["", "a", "../x", "a b", "<b>", "x" * 300])
def test_a_bad_name_is_refused(browser: Client, havre: HavreDaemon, name: str) -> None:
    answer = browser.post("/e/local/volumes/new/", {"name": name}, headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert havre.docker("volume", "ls", "-q").stdout == ""


def test_who_uses_it_is_told_and_keeps_it(browser: Client, havre: HavreDaemon) -> None:
    havre.docker("pull", "-q", "busybox")
    havre.docker("create", "--name", "keeper", "-v", "held:/d", "-v", "/own", "busybox")
    page = browser.get("/e/local/volumes/").content.decode()
    assert page.count(">keeper</a>") == 2
    assert "no name" in page
    assert "held" not in browser.get("/e/local/volumes/?q=unused").content.decode()
    answer = browser.post("/e/local/volumes/remove/", {"volumes": ["held"]}, headers={"HX-Request": "true"})
    assert "volume is in use" in answer.content.decode()
    assert "held" in havre.docker("volume", "ls", "-q").stdout


def test_a_viewer_may_look(
    viewer: User, engine: Environment, signed_in: Callable[[User | None], Client], havre: HavreDaemon
) -> None:
    havre.docker("volume", "create", "seen")
    client = signed_in(viewer)
    page = client.get("/e/local/volumes/").content.decode()
    assert "seen" in page
    assert 'name="name"' not in page
    for door in ("new/", "remove/"):
        assert client.post(f"/e/local/volumes/{door}", {"name": "no", "volumes": ["seen"]}).status_code == 403
    assert havre.docker("volume", "ls", "-q").stdout == "seen\n"
