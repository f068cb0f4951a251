"""Text from containers, images, jobs and addresses that wants to be a page's script: no page takes it for one.

What the content security policy would stop beside that is held in test_accounts.py; here the text itself is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Final
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.test import Client
from django.urls import get_resolver

from tests.engine.test_hostile_images import with_config
from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.racing import Caller
from tests.fixtures.tars import tar_of
from tests.webui.test_policy import BUILD, OF_ENVIRONMENTS, _patterns
from webui.accounts.models import User
from webui.environments.models import Environment
from webui.jobs.models import Job, JobKind, JobState

TEXT: Final = "\x1b[31m\"'><script>havre()</script><b onmouseover=havre()>${7*7}{{7*7}}\u202e"
PARAMETERS: Final = ("q", "path", "a", "b", "page", "state", "sort", "like", "tail")


class Scripts(HTMLParser):
    """Everything in a page that a browser would run by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script" and not values.get("src") and values.get("type") != "application/json":
            self.found.append(f"<script {values}>")
        self.found += [f"{tag} {name}={value}" for name, value in attrs if name.startswith("on")]
        self.found += [
            f"{tag} {name}={value}"
            for name, value in attrs
            if name in ("href", "src", "action", "hx-get", "hx-post") and "script:" in (value or "").lower()
        ]


@pytest.fixture
def ids(havre: HavreDaemon, engine: Environment, administrator: User) -> Iterator[dict[str, str]]:
    """Things that are full of the text, and what addresses call them."""
    havre.docker("pull", "-q", "busybox")
    call = Caller(havre.socket)
    config = {"Cmd": ["sleep", TEXT], "Labels": {TEXT: TEXT}, "Env": [f"A={TEXT}"], "Volumes": {f"/{TEXT[:20]}": {}}}
    assert call("POST", "/images/load", data=with_config(call, config)).ok
    body = {"Image": "hostile", "Cmd": ["sh", "-c", f'printf "%s" "$A"; touch "/$$"; sleep 60; : {TEXT!r}']}
    made = call("POST", "/containers/create", body=body, name="hostile").document["Id"]
    assert call("POST", f"/containers/{made}/start").ok
    name = TEXT.replace("/", "_")
    assert call("PUT", f"/containers/{made}/archive", path="/tmp", data=tar_of({name: b""})).ok
    network = call("POST", "/networks/create", body={"Name": "hostile", "Labels": {TEXT: TEXT}}).document["Id"]
    volume = call("POST", "/volumes/create", body={"Name": "hostile", "Labels": {TEXT: TEXT}}).document["Name"]
    jobs = {
        kind: Job.objects.create(
            kind=kind,
            environment=engine,
            subject=TEXT,
            state=JobState.FAILED,
            message=TEXT,
            parameters={**BUILD, "dockerfile": f"FROM {TEXT}", "tags": [TEXT], "labels": {TEXT: TEXT}},
            created_by=administrator,
        )
        for kind in (JobKind.PULL, JobKind.BUILD)
    }
    yield {
        "<slug:env>": "local",
        "<str:container_id>": made,
        "<str:network_id>": network,
        "<path:name>": volume,
        "<str:image_id>": "hostile:latest",
        "<uuid:job_id>": str(jobs[JobKind.PULL].pk),
        "<uuid:build_id>": str(jobs[JobKind.BUILD].pk),
    }
    havre.remove_everything()
    call("DELETE", "/networks/hostile")
    call("POST", "/volumes/prune", filters='{"all":["1"]}')
    call("DELETE", "/images/hostile", force=1)


@pytest.mark.timeout(400)  # some two hundred pages
def test_no_page_runs_what_it_shows(
    ids: dict[str, str], administrator: User, signed_in: Callable[[User | None], Client]
) -> None:
    browser = signed_in(administrator)
    shown = 0
    for path, _ in [*OF_ENVIRONMENTS, ("jobs/", None)]:
        address = f"/{path}"
        for placeholder, value in ids.items():
            address = address.replace(placeholder, value)
        if "<" in address:
            continue
        asked = "?" + urlencode(dict.fromkeys(PARAMETERS, TEXT))
        for way, headers in (("", {}), (asked, {}), (asked, {"HX-Request": "true"})):
            answer = browser.get(address + way, headers=headers)
            assert answer.status_code < 500, (address, way)
            if answer.status_code == 405:
                break
            if answer.streaming or not answer["Content-Type"].startswith("text/html"):
                continue
            page = answer.content.decode()
            shown += "havre()" in page
            scripts = Scripts()
            scripts.feed(page)
            assert not scripts.found, (address, way, scripts.found)
            assert not re.search(r"<script>havre|<b onmouseover=havre|\$\{49\}", page), (address, way)
    assert shown > 20, "the text is in the pages, and harmless"


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example/", "/\\evil.example/", "javascript:havre()"])
def test_signing_in_leads_nowhere_else(administrator: User, to: str) -> None:
    for address in ("/accounts/login/", "/accounts/logout/"):
        answer = Client().post(
            f"{address}?next={quote(to)}", {"login": "root-ada", "password": "a harbour at dawn", "next": to}
        )
        assert "evil" not in answer.headers.get("Location", "")
        assert "javascript" not in answer.headers.get("Location", "")


def test_a_session_is_a_new_one_after_signing_in(administrator: User) -> None:
    browser = Client()
    browser.get("/accounts/login/")
    session = browser.session
    session["planted"] = "1"
    session.save()
    before = session.session_key
    browser.post("/accounts/login/", {"login": "root-ada", "password": "a harbour at dawn"})
    assert browser.session.session_key != before
    assert Client(HTTP_COOKIE=f"{settings.SESSION_COOKIE_NAME}={before}").get("/jobs/").status_code == 302


def test_every_form_wants_its_token(
    ids: dict[str, str], administrator: User, signed_in: Callable[[User | None], Client]
) -> None:
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(administrator, backend="allauth.account.auth_backends.AuthenticationBackend")
    for path, _ in _patterns(get_resolver().url_patterns):
        address = f"/{path}"
        for placeholder, value in ids.items():
            address = address.replace(placeholder, value)
        if "<" in address or "^" in address:
            continue
        assert browser.post(address).status_code in (403, 404, 405), address


def test_pages_are_for_their_own_host_and_frame(administrator: User) -> None:
    assert Client(headers={"host": "evil.example"}, raise_request_exception=False).get("/jobs/").status_code == 400
    answer = Client().get("/accounts/login/")
    assert answer["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    browser = Client()
    answer = browser.post("/accounts/login/", {"login": "root-ada", "password": "a harbour at dawn"})
    cookie = answer.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
