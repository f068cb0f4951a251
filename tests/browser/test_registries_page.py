"""Registries by hand: an administrator adds one, an operator sees that it is there and nothing more."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.fixtures.daemons import HavreDaemon

SECRET = "an otter's own key"


def test_a_registry_is_added_used_and_forgotten(
    page: Page,
    new_context: Callable[..., BrowserContext],
    sign_in: Callable[..., Page],
    engine: HavreDaemon,
) -> None:
    sign_in("ada")
    page.goto("/e/local/registries/")
    page.get_by_role("link", name="Add the first one").click()
    page.get_by_label("Address").fill("127.0.0.1:5000")
    page.get_by_label("User").fill("olga")
    page.get_by_label("Password or token").fill(SECRET)
    page.get_by_role("button", name="Save").click()
    row = page.get_by_role("row").filter(has_text="127.0.0.1:5000")
    expect(row).to_contain_text("kept, encrypted")
    row.get_by_role("link", name="127.0.0.1:5000").click()
    expect(page.get_by_label("Password or token")).to_have_value("")
    assert SECRET not in page.content()

    other = new_context(viewport={"width": 360, "height": 740}).new_page()
    sign_in("olga", on=other)
    other.goto("/e/local/registries/")
    expect(other.locator("table")).to_contain_text("kept, encrypted")
    expect(other.get_by_role("link", name="Registry", exact=True)).to_have_count(0)
    expect(other.get_by_role("button", name="Forget")).to_have_count(0)
    assert SECRET not in other.content()
    assert other.evaluate("document.documentElement.scrollWidth") <= 360

    page.goto("/e/local/registries/")
    page.get_by_role("button", name="Forget 127.0.0.1:5000").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Its password is lost here")
    dialog.get_by_role("button", name="Forget").click()
    expect(page.get_by_text("No registries yet")).to_be_visible()
