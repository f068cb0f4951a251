"""The first start, signing in and out, and what every answer carries."""

from __future__ import annotations

import datetime as dt

import pytest
from django.conf import LazySettings
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from tests.webui.conftest import PASSWORD
from webui.accounts import policy
from webui.accounts.models import Grant, Role, SetupToken, Team, User
from webui.accounts.selectors import access_of
from webui.environments.models import Environment


@pytest.fixture(autouse=True)
def _fresh_middleware() -> None:
    """The set-up middleware remembers once that set-up is done; each test begins before that."""


def _browser() -> Client:
    return Client(enforce_csrf_checks=False)


def test_before_set_up_every_page_says_where_the_link_is() -> None:
    answer = _browser().get("/e/local/containers/")
    assert answer.status_code == 200
    assert b"one-time link" in answer.content


def test_the_link_makes_one_administrator_and_is_void_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("setup_link")
    link = capsys.readouterr().out.strip()
    path = "/" + link.split("/", 3)[3]
    browser = _browser()
    assert browser.get(path).status_code == 200
    answer = browser.post(path, {"username": "ada", "password": PASSWORD, "again": PASSWORD})
    assert answer.status_code == 302
    user = User.objects.get(username="ada")
    assert user.is_superuser
    assert user.check_password(PASSWORD)
    assert _browser().get(path).status_code == 302, "set-up is over"
    call_command("setup_link")
    assert capsys.readouterr().out == "", "no second link"


def test_only_the_hash_of_the_link_is_kept() -> None:
    token = SetupToken.issue()
    assert token not in str(list(SetupToken.objects.values()))


@pytest.mark.parametrize("token", ["wrong", "x" * 400])
def test_a_wrong_link_is_void(token: str) -> None:
    SetupToken.issue()
    assert _browser().get(f"/setup/{token}/").status_code == 404


def test_an_old_link_is_void() -> None:
    token = SetupToken.issue()
    SetupToken.objects.update(created_at=timezone.now() - dt.timedelta(hours=25))
    assert _browser().get(f"/setup/{token}/").status_code == 404


@pytest.mark.parametrize(
    ("password", "again", "words"),
    [
        ("short", "short", b"too short"),
        (PASSWORD, "another", b"not the same"),
        ("1234567890", "1234567890", b"too common"),
    ],
)
def test_a_bad_password_is_told_and_the_link_stays_good(password: str, again: str, words: bytes) -> None:
    token = SetupToken.issue()
    answer = _browser().post(f"/setup/{token}/", {"username": "ada", "password": password, "again": again})
    assert answer.status_code == 422
    assert words in answer.content
    assert b'value="ada"' in answer.content
    assert _browser().get(f"/setup/{token}/").status_code == 200


def test_signing_in_and_out(operator: User) -> None:
    browser = _browser()
    answer = browser.post("/accounts/login/?next=/jobs/", {"login": "olga", "password": PASSWORD, "next": "/jobs/"})
    assert answer.status_code == 302
    assert answer["Location"] == "/jobs/"
    assert browser.get("/jobs/").status_code == 200
    assert browser.post("/accounts/logout/").status_code == 302
    assert browser.get("/jobs/").status_code == 302


def test_passwords_cannot_be_tried_without_end(administrator: User, settings: LazySettings) -> None:
    """Neither at the page for it nor at the admin's, which leads there."""
    settings.ACCOUNT_RATE_LIMITS = {}  # the usual ones
    cache.clear()
    browser = _browser()
    for _ in range(10):
        browser.post("/accounts/login/", {"login": "root-ada", "password": "wrong"})
    answer = browser.post("/accounts/login/", {"login": "root-ada", "password": PASSWORD})
    assert answer.status_code in (200, 429), "the right password after too many wrong ones"
    assert "_auth_user_id" not in browser.session
    admin = browser.post("/admin/login/?next=/admin/", {"username": "root-ada", "password": PASSWORD})
    assert (admin.status_code, admin["Location"].partition("?")[0]) == (302, "/accounts/login/")
    cache.clear()


def test_the_admin_is_for_administrators(operator: User, administrator: User) -> None:
    browser = _browser()
    browser.force_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    for path in ("/admin/", "/admin/login/", "/admin/accounts/user/", "/admin/jobs/job/"):
        assert browser.get(path).status_code in (302, 403), path
        assert b"accounts/user" not in browser.get(path, follow=True).content, path


def test_a_wrong_password_signs_nobody_in(operator: User) -> None:
    answer = _browser().post("/accounts/login/", {"login": "olga", "password": "wrong"})
    assert answer.status_code == 200
    assert b"not correct" in answer.content


def test_nobody_signs_up_alone(administrator: User) -> None:
    _browser().post("/accounts/signup/", {"username": "eve", "password1": PASSWORD})
    assert not User.objects.filter(username="eve").exists()


def test_a_person_changes_the_password_that_an_administrator_gave(operator: User) -> None:
    browser, new = _browser(), "another harbour at dusk"
    browser.post("/accounts/login/", {"login": "olga", "password": PASSWORD})
    assert b"/accounts/password/change/" in browser.get("/jobs/").content, "the way is in the menu"
    body = {"oldpassword": PASSWORD, "password1": new, "password2": "something else"}
    assert b"same password" in browser.post("/accounts/password/change/", body).content
    answer = browser.post("/accounts/password/change/", {**body, "password2": new})
    assert answer["Location"] == "/"
    assert browser.get("/jobs/").status_code == 200
    operator.refresh_from_db()
    assert operator.check_password(new)


def test_one_form_gives_a_colleague_access(administrator: User, environment: Environment) -> None:
    team = Team.objects.create(name="crew")
    Grant.objects.create(team=team, environment=environment, role=Role.VIEWER)
    browser = _browser()
    browser.force_login(administrator, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert b"Roles: what they may do, and where" in browser.get("/admin/accounts/user/add/").content
    rows = {"grants-TOTAL_FORMS": "1", "grants-INITIAL_FORMS": "0", "grants-0-role": "2", "grants-0-environment": ""}
    body = {"username": "nina", "password1": PASSWORD, "password2": PASSWORD, "teams": [team.pk], **rows}
    answer = browser.post("/admin/accounts/user/add/", body)
    assert answer["Location"] == "/admin/accounts/user/"
    nina = User.objects.get(username="nina")
    assert policy.role_in(nina, environment) is Role.OPERATOR
    assert not nina.is_staff
    assert access_of(nina) == "operator everywhere, viewer in local (crew)"
    assert "operator everywhere, viewer in local (crew)" in browser.get("/admin/accounts/user/").content.decode()


def test_access_in_words(administrator: User, stranger: User, viewer: User) -> None:
    assert access_of(administrator) == "everything, people included"
    assert access_of(stranger) == "nothing yet"
    viewer.is_active = False
    assert access_of(viewer) == "nothing: may not sign in"


def test_pages_carry_a_strict_content_security_policy(administrator: User) -> None:
    policy = _browser().get("/accounts/login/")["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_only_the_terminal_may_have_inline_styles(operator: User, engine: object) -> None:
    browser = _browser()
    browser.force_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert "unsafe" not in browser.get("/e/local/containers/")["Content-Security-Policy"]
