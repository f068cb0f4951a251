"""Containers made like others and in the place of others, with a real engine behind the pages."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.test import Client

from tests.fixtures.daemons import HavreDaemon
from webui.accounts.models import User
from webui.asgi import application
from webui.environments.models import Environment


@pytest.fixture
def browser(operator: User, engine: Environment, signed_in: Callable[[User | None], Client]) -> Client:
    return signed_in(operator)


@pytest.fixture(autouse=True)
def _nothing_there(havre: HavreDaemon) -> None:
    havre.remove_everything()
    havre.docker("pull", "-q", "busybox")


def _form(page: str) -> dict[str, Any]:
    """What a browser would send of the form in *page*, nothing touched."""
    found: dict[str, Any] = {}
    form = page[page.index('class="form-page"') : page.index('class="form-foot"')]
    form = re.sub(r"<template.*?</template>", "", form, flags=re.DOTALL)
    for tag in re.findall(r"<input[^>]*>", form):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        checkbox = attributes["type"] == "checkbox"
        if "name" in attributes and (not checkbox or " checked" in tag):
            found[attributes["name"]] = html.unescape(attributes.get("value", "on" if checkbox else ""))
    for name, text in re.findall(r'<textarea name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, flags=re.DOTALL):
        found[name] = html.unescape(text)
    for name, options in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', form, flags=re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        found[name] = html.unescape(chosen[1]) if chosen else ""
    return found


def _inspect(havre: HavreDaemon, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(havre.docker("inspect", name).stdout)[0]
    return document


def test_an_edit_changes_what_was_changed_and_keeps_the_rest(browser: Client, havre: HavreDaemon) -> None:
    options = ["--memory", "64m", "--cpu-period", "50000", "-e", "A=it's", "--label", "k=v", "-v", "/cache"]
    options += ["--health-cmd", "true", "--health-interval", "1h", "--ulimit", "nofile=100:200", "-p", "8123:80"]
    havre.docker("run", "-d", "--init", "--name", "web", *options, "busybox", "sh", "-c", "echo 'x y'\nsleep 600")
    before = _inspect(havre, "web")
    havre.docker("exec", "web", "sh", "-c", "echo kept > /cache/file; echo lost > /file")
    page = browser.get("/e/local/containers/web/edit/").content.decode()
    answer = browser.post("/e/local/containers/web/edit/", {**_form(page), "memory": "128m", "labels-1-name": "n"})
    assert answer.status_code == 302
    after = _inspect(havre, "web")
    assert after["Id"] != before["Id"]
    assert after["State"]["Running"]
    assert after["HostConfig"]["Memory"] == 128 << 20
    assert after["Config"]["Labels"] == {"k": "v", "n": ""}
    for section, names in (
        ("Config", ("Cmd", "Env", "Healthcheck", "Image")),
        ("HostConfig", ("CpuPeriod", "Ulimits", "PortBindings", "RestartPolicy")),
    ):
        for name in names:
            assert after[section][name] == before[section][name], name
    assert havre.docker("exec", "web", "cat", "/cache/file").stdout == "kept\n"
    assert havre.docker("exec", "web", "ls", "/file", check=False).returncode != 0
    assert havre.docker("ps", "-a", "--format", "{{.Names}}").stdout == "web\n"


@pytest.mark.parametrize(
    "change",
    [
        {"image": "nowhere:1"},
        {"command": "/no/such/program", "init": ""},
        {"ports-0-container_port": "80", "ports-0-host_port": "8124"},
    ],
    ids=["no image", "no program", "port taken"],
)
def test_an_edit_that_fails_leaves_all_as_it_was(browser: Client, havre: HavreDaemon, change: dict[str, str]) -> None:
    havre.docker("run", "-d", "--name", "other", "-p", "8124:80", "busybox", "sleep", "600")
    before = havre.docker(
        "run", "-d", "--init", "--name", "web", "-v", "/cache", "busybox", "sleep", "600"
    ).stdout.strip()
    havre.docker("exec", "web", "touch", "/written")
    page = browser.get("/e/local/containers/web/edit/").content.decode()
    answer = browser.post("/e/local/containers/web/edit/", {**_form(page), **change})
    assert answer.status_code == 422
    assert "as it was" in answer.content.decode()
    after = _inspect(havre, "web")
    assert (after["Id"], after["State"]["Running"]) == (before, True)
    assert havre.docker("exec", "web", "ls", "/written").returncode == 0
    assert sorted(havre.docker("ps", "-a", "--format", "{{.Names}}").stdout.split()) == ["other", "web"]


def test_a_container_is_in_several_networks_and_stays_there(browser: Client, havre: HavreDaemon) -> None:
    for name in ("back", "front"):
        havre.docker("network", "create", name)
    try:
        form = _form(browser.get("/e/local/containers/new/?image=busybox").content.decode())
        wish = {**form, "name": "web", "command": "sleep 600", "init": "on", "network": "front", "further": ["back"]}
        assert browser.post("/e/local/containers/new/", {**wish, "start": "1"}).status_code == 302
        assert set(_inspect(havre, "web")["NetworkSettings"]["Networks"]) == {"back", "front"}
        havre.docker("network", "disconnect", "back", "web")
        havre.docker("network", "connect", "--alias", "db", "back", "web")
        page = browser.get("/e/local/containers/web/edit/").content.decode()
        assert 'name="further" value="back"' in page
        answer = browser.post("/e/local/containers/web/edit/", {**_form(page), "memory": "64m"})
        assert answer.status_code == 302
        after = _inspect(havre, "web")
        assert after["State"]["Running"]
        assert set(after["NetworkSettings"]["Networks"]) == {"back", "front"}
        assert "db" in after["NetworkSettings"]["Networks"]["back"]["Aliases"]
        command = browser.post("/e/local/containers/new/command/", wish).content.decode()
        assert "--network front" in command
        assert "--network back" in command
    finally:
        havre.remove_everything()
        havre.docker("network", "rm", "back", "front")


def test_another_like_this_begins_with_its_settings(browser: Client, havre: HavreDaemon) -> None:
    havre.docker("create", "--name", "web", "--memory", "64m", "-e", "A=1", "-p", "8123:80", "busybox", "sleep", "600")
    page = browser.get("/e/local/containers/new/?like=web").content.decode()
    form = _form(page)
    assert (form["name"], form["memory"], form["ports-0-host_port"]) == ("", "64m", "")
    answer = browser.post("/e/local/containers/new/?like=web", {**form, "name": "second"})
    assert answer.status_code == 302
    made = _inspect(havre, "second")
    assert (made["HostConfig"]["Memory"], made["Config"]["Cmd"]) == (64 << 20, ["sleep", "600"])
    assert "A=1" in made["Config"]["Env"]


def test_a_member_gets_no_power_over_the_host_by_any_door(
    browser: Client, administrator: User, signed_in: Callable[[User | None], Client], havre: HavreDaemon
) -> None:
    havre.docker("run", "-d", "--name", "root", "--privileged", "-v", "/:/host", "busybox", "sleep", "600")
    havre.docker("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/etc", "sly")
    try:
        form = _form(browser.get("/e/local/containers/new/?image=busybox").content.decode())
        wishes = [
            {"binds-0-source": "/etc", "binds-0-target": "/x"},
            {"binds-0-source": "sly", "binds-0-target": "/x"},
            {"cap_add": "SYS_ADMIN"},
            {"sysctls": "kernel.msgmax=100"},
        ]
        for wish in wishes:
            answer = browser.post("/e/local/containers/new/", {**form, **wish})
            assert answer.status_code == 422, wish
            assert "Only an administrator" in answer.content.decode()
        for address in ("new/?like=root", "root/edit/"):
            copied = _form(browser.get(f"/e/local/containers/{address}").content.decode())
            answer = browser.post(f"/e/local/containers/{address}", copied)
            assert answer.status_code == 422
            assert "privileged mode" in answer.content.decode()
        assert browser.post("/e/local/containers/new/", {**form, "privileged": "on"}).status_code == 302
        names = havre.docker("ps", "-a", "--format", "{{.Names}}").stdout.split()
        assert len(names) == 2
        harmless = next(name for name in names if name != "root")
        assert _inspect(havre, harmless)["HostConfig"]["Privileged"] is False
        trusted = signed_in(administrator)
        form = _form(trusted.get("/e/local/containers/new/?image=busybox").content.decode())
        assert trusted.post("/e/local/containers/new/", {**form, "name": "mine", "privileged": "on"}).status_code == 302
        assert _inspect(havre, "mine")["HostConfig"]["Privileged"] is True
    finally:
        havre.remove_everything()
        havre.docker("volume", "rm", "sly")


def test_the_form_is_checked_field_by_field_and_told_as_a_command(browser: Client) -> None:
    form = _form(browser.get("/e/local/containers/new/?image=busybox").content.decode())
    answer = browser.post("/e/local/containers/new/check/", {**form, "memory": "much", "name": "-"}).json()
    assert set(answer["errors"]) == {"memory", "name"}
    command = browser.post("/e/local/containers/new/command/", {**form, "memory": "64m"}).content.decode()
    assert "docker run -d" in command
    assert "--memory 64m" in command
    wrong = browser.post("/e/local/containers/new/command/", {**form, "memory": "much"}).content.decode()
    assert "not right yet" in wrong


def test_a_form_learns_whether_somebody_is_signed_in(
    browser: Client, signed_in: Callable[[User | None], Client]
) -> None:
    assert len(browser.get("/session/", headers={"HX-Request": "true"}).content) == 64
    assert signed_in(None).get("/session/", headers={"HX-Request": "true"}).status_code == 401


@pytest.mark.django_db(transaction=True)
async def test_a_shell_in_a_powerful_container_is_an_administrators(
    administrator: User, operator: User, engine: Environment, havre: HavreDaemon
) -> None:
    powerful = havre.docker("run", "-d", "--privileged", "busybox", "sleep", "600").stdout.strip()
    plain = havre.docker("run", "-d", "busybox", "sleep", "600").stdout.strip()
    assert "privileged mode" in await _first_word(operator, powerful)
    for user, container in ((operator, plain), (administrator, powerful)):
        assert await _first_word(user, container) == '{"type":"ready"}'


async def _first_word(user: User, container: str) -> str:
    """What the terminal's socket says first."""
    browser = Client()
    await browser.aforce_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())
    headers = [(b"host", b"testserver"), (b"origin", b"http://testserver"), (b"cookie", cookies.encode())]
    address = f"/ws/e/local/containers/{container}/terminal/?shell=sh"
    communicator = WebsocketCommunicator(application, address, headers=headers)
    assert (await communicator.connect(timeout=5))[0]
    word: str = await communicator.receive_from(timeout=15)
    await communicator.disconnect()
    return word
