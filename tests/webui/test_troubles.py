"""A container's own page: what it leads to, and what it says when the container did not start."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from tests.fixtures.daemons import Daemon
from webui.accounts.models import User
from webui.environments.models import Environment


@pytest.fixture
def browser(operator: User, either: Environment, signed_in: Callable[[User | None], Client]) -> Client:
    return signed_in(operator)


@pytest.fixture(autouse=True)
def _nothing_left(daemon: Daemon) -> Iterator[None]:
    daemon.docker("pull", "-q", "busybox")
    yield
    daemon.remove_everything()


def _shown(browser: Client, name: str) -> str:
    return browser.get(f"/e/local/containers/{name}/").content.decode()


def test_it_leads_to_its_image_networks_and_volumes(browser: Client, daemon: Daemon) -> None:
    daemon.docker("network", "create", "app")
    daemon.docker("run", "-d", "--name", "web", "--network", "app", "-v", "files:/files", "busybox", "sleep", "600")
    page = _shown(browser, "web")
    image = daemon.docker("inspect", "-f", "{{.Image}}", "web").stdout.removeprefix("sha256:")[:12]
    network = daemon.docker("network", "inspect", "-f", "{{.Id}}", "app").stdout[:12]
    for address in (f"/e/local/images/{image}/", f"/e/local/networks/{network}/", "/e/local/volumes/v/files/"):
        assert f'href="{address}"' in page
        assert browser.get(address).status_code == 200
    daemon.docker("rm", "-f", "web")
    daemon.docker("network", "rm", "app")
    daemon.docker("volume", "rm", "files")


def test_a_port_that_another_container_has_is_told_with_its_name(browser: Client, daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "first", "-p", "8191:80", "-p", "8192:81", "busybox", "sleep", "600")
    daemon.docker("run", "-d", "--name", "late", "-p", "8192:80", "busybox", "sleep", "600", check=False)
    first = daemon.docker("inspect", "-f", "{{.Id}}", "first").stdout[:12]
    page = _shown(browser, "late")
    assert f'Port 8192 belongs to <a href="/e/local/containers/{first}/">first</a>.' in page
    assert "Give it another port" in page
    assert "once it runs" in page
    assert "belongs to" not in _shown(browser, "first")
    daemon.docker("rm", "-f", "first")
    assert "No container has port 8192 now" in _shown(browser, "late")
    daemon.docker("start", "late")
    page = _shown(browser, "late")
    assert "port 8192" not in page
    assert "once it runs" not in page
