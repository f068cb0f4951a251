"""Pages that change by themselves: they miss nothing, and take nothing out of a person's hands."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.fixtures.daemons import HavreDaemon

SLEEP = ("busybox", "sleep", "1000")


@pytest.mark.parametrize(("address", "place"), [("", "tr"), ("meanwhile/", "#object-head")])
def test_what_changes_while_a_page_loads_is_shown(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon, address: str, place: str
) -> None:
    """The page is there and its socket is not yet: just then the container ends."""
    engine.docker("run", "-d", "--name", "meanwhile", *SLEEP)
    sign_in("vera")
    shown = page.locator(place).filter(has_text="meanwhile").locator(".state")

    def late(socket: WebSocketRoute) -> None:
        expect(shown).to_have_text("running")
        engine.docker("kill", "meanwhile")
        socket.connect_to_server()

    page.route_web_socket("**/events/**", late)
    page.goto(f"/e/local/containers/{address}", wait_until="commit")
    expect(shown).to_have_text("exited")


def test_a_page_that_knows_everything_fetches_nothing(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon
) -> None:
    """Also where the container was made just before."""
    sign_in("olga")
    page.wait_for_load_state("networkidle")
    fragments: list[str] = []
    page.on("request", lambda request: fragments.append(request.url) if "hx-request" in request.headers else None)
    engine.docker("run", "-d", "--name", "known", *SLEEP)
    with page.expect_websocket(lambda socket: "/events/" in socket.url) as opened:
        page.goto("/e/local/containers/known/logs/")
    with opened.value.expect_event("framereceived", lambda frame: '"start"' in str(frame)):
        engine.docker("run", "-d", "--name", "other", *SLEEP)
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 300))")  # more than any fragment waits
    assert fragments == []


def test_a_menu_stays_open_and_the_page_follows_when_it_closes(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon
) -> None:
    engine.docker("run", "-d", "--name", "held", *SLEEP)
    sign_in("olga")
    page.goto("/e/local/containers/held/logs/")
    head = page.locator("#object-head")
    head.get_by_text("More").click()
    with page.expect_response("**/head/"):
        engine.docker("kill", "held")
    expect(head.get_by_role("button", name="Send a signal")).to_be_visible()
    expect(head.locator(".state")).to_have_text("running")
    page.keyboard.press("Escape")
    expect(head.locator(".state")).to_have_text("exited")
    expect(head.get_by_text("More")).to_be_focused()


def test_a_button_that_is_being_pressed_is_not_taken_away(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon
) -> None:
    engine.docker("run", "-d", "--name", "pressed", *SLEEP)
    sign_in("olga")
    page.goto("/e/local/containers/")
    row = page.get_by_role("row").filter(has_text="pressed")
    box = row.get_by_role("link", name="Logs").bounding_box()
    assert box
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    with page.expect_response("**/row/*"):
        engine.docker("pause", "pressed")
    page.mouse.up()
    page.wait_for_url("**/logs/")


def test_the_focus_stays_where_it_was(page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon) -> None:
    for name in ("lower", "upper"):
        engine.docker("run", "-d", "--name", name, *SLEEP)
    sign_in("olga")
    page.goto("/e/local/containers/")
    upper, lower = (page.get_by_role("row").filter(has_text=name) for name in ("upper", "lower"))
    upper.get_by_role("link", name="Logs").focus()
    engine.docker("pause", "upper")
    expect(upper.locator(".state")).to_have_text("paused")
    expect(upper.get_by_role("link", name="Logs")).to_be_focused()
    upper.get_by_role("button", name="Go on").press("Enter")
    expect(upper.get_by_role("button", name="Stop")).to_be_focused()
    engine.docker("rm", "-f", "upper")
    expect(upper).to_have_count(0)
    expect(lower.get_by_role("link", name="lower")).to_be_focused()


def test_many_rows_that_change_at_once_are_all_fetched(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon
) -> None:
    names = [f"row-{number}" for number in range(5)]
    for name in names:
        engine.docker("create", "--name", name, *SLEEP)
    sign_in("vera")
    page.goto("/e/local/containers/")
    expect(page.locator("tr .state", has_text="created")).to_have_count(5)
    engine.docker("start", *names)
    expect(page.locator("tr .state", has_text="running")).to_have_count(5)
    engine.docker("kill", *names)
    expect(page.locator("tr .state", has_text="exited")).to_have_count(5)


def test_what_was_unfolded_stays_unfolded(page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon) -> None:
    engine.docker("run", "-d", "--name", "ended", "busybox", "sh", "-c", "echo goodbye; exit 3")
    sign_in("olga")
    page.goto("/e/local/containers/ended/")
    words = page.locator(".death-lines pre").first
    expect(words).to_be_hidden()
    page.get_by_text("Its last words").click()
    expect(words).to_have_text("goodbye")
    with page.expect_response("**/deaths/"):
        engine.docker("rename", "ended", "renamed")
    expect(page.locator("#object-head")).to_contain_text("renamed")
    expect(words).to_be_visible()


def test_what_was_chosen_in_a_list_stays_chosen(
    page: Page, sign_in: Callable[[str], Page], engine: HavreDaemon
) -> None:
    engine.docker("pull", "busybox")
    sign_in("olga")
    page.goto("/e/local/images/?q=busybox")
    row = page.get_by_role("row").filter(has_text="busybox")
    row.get_by_role("checkbox").check()
    engine.docker("create", "--name", "its-user", "busybox")
    expect(row).to_contain_text("its-user")
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(page.get_by_text("1 chosen")).to_be_visible()
