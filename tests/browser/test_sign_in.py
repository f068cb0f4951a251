"""Coming in and going out."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.fixtures.stack import PASSWORD


def test_a_page_asks_who_it_is_and_comes_back_to_where_one_was_going(page: Page) -> None:
    page.goto("/e/local/containers/")
    expect(page).to_have_url(re.compile("/accounts/login/.*next=/e/local/containers/"))
    page.locator("input[name=login]").fill("vera")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/e/local/containers/$"))


def test_a_wrong_password_is_refused_in_words(page: Page) -> None:
    page.goto("/accounts/login/")
    page.locator("input[name=login]").fill("olga")
    page.locator("input[name=password]").fill("not that one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not correct")


def test_the_dashboard_follows_the_sign_in(page: Page, sign_in: Callable[[str], Page]) -> None:
    sign_in("olga")
    expect(page.get_by_role("link", name="Containers").first).to_be_visible()


def test_scripts_and_styles_come_compressed(page: Page) -> None:
    """They are more than a megabyte otherwise, which a phone waits for."""
    with page.expect_response("**/app.css?*") as styles, page.expect_response("**/app.js?*") as script:
        page.goto("/accounts/login/")
    for response in (styles.value, script.value):
        assert response.header_value("content-encoding") == "gzip"
        assert int(response.header_value("content-length") or 0) < 200_000
